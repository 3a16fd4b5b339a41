// The implicit meta-gradient: iMAML (Rajeswaran, Finn, Kakade & Levine 2019).
//
// The inner problem L_s(phi) + (mu/2) ||phi - theta||^2 over the adapted part a is solved by the
// steps of `unroll`. With g the query gradient at its end, x solves (I + H_aa / mu) x = g_a by
// conjugate gradients from 0; the meta-gradient is x over a and g_f - H_fa x / mu over the rest f,
// which the inner problem holds fixed. A direction of no positive curvature ends the iteration.
#pragma once

#include "meta/inputs.hpp"

namespace FOMAML_FAST_NAMESPACE::meta {

namespace detail {

template <class V>
bool any_positive(V x) {
  if constexpr (is_scalar_pack<V>) {
    return x > 0;
  } else {
    for (int lane = 0; lane < kLanes<Element<V>>; ++lane) {
      if (x[lane] > 0) return true;
    }
    return false;
  }
}

/// Conjugate gradients (Hestenes & Stiefel 1952), every task of a pack until it is done itself.
template <class V, class Tasks>
class ConjugateGradient {
 public:
  ConjugateGradient(const Inputs<V>& in, Tasks& tasks)
      : in_(in),
        tasks_(tasks),
        theta_(in.vectors.theta(in.algorithm.steps)),
        x_(in.vectors.scratch),
        residual_(in.vectors.gradient(0)),
        direction_(in.vectors.co_gradient),
        product_(in.vectors.co_anchor),
        inverse_pull_(constant<V>(1 / in.algorithm.implicit.pull)) {}

  /// The solution, 0 where nothing adapts.
  const V* solve(const V* g, Solution<V>& solution) {
    const auto& adapted = in_.adapted;
    tasks_.support_gradient(0, theta_, product_);
    std::fill_n(x_, in_.vectors.size, V{});
    std::fill_n(direction_, in_.vectors.size, V{});
    // The equations are linear: solved for a right-hand side close to 1, they neither overflow nor
    // vanish where it is squared.
    const V scale = math::power_of_two_against(adapted.largest(g));
    adapted.for_each([&](Index i) { residual_[i] = direction_[i] = scale * g[i]; });
    const V zero{}, one = broadcast<V>(1), start = adapted.dot(residual_, residual_);
    const V enough =
        constant<V>(in_.algorithm.implicit.tolerance * in_.algorithm.implicit.tolerance) * start;
    V squared = start, active = select(start > enough, one, zero);
    const int most = in_.algorithm.implicit.most_iterations;
    for (int k = 0; k < most && any_positive(active) && !in_.stopped(); ++k) {
      multiply();
      const V curvature = adapted.dot(direction_, product_);
      const V bent = select(curvature > zero, zero, active);
      const V on = active - bent;
      solution.indefinite += bent;
      solution.iterations += on;
      // Without a first step there is no iterate: then it is g itself.
      const V fallback = k == 0 ? bent : zero;
      // A curvature that has overflowed gives NaN: steps of 0 would hide it.
      const V step = select(on > zero, squared / curvature + (curvature - curvature), fallback);
      adapted.for_each([&](Index i) {
        x_[i] += step * direction_[i];
        residual_[i] -= step * product_[i];
      });
      const V next = adapted.dot(residual_, residual_);
      const V ratio = select(on > zero, next / squared, zero);
      adapted.for_each([&](Index i) { direction_[i] = residual_[i] + ratio * direction_[i]; });
      squared = next;
      active = select(next > enough, on, zero);
    }
    solution.residual = select(start > zero, math::sqrt(squared / start), start);
    adapted.for_each([&](Index i) { x_[i] = x_[i] / scale; });
    return x_;
  }

  /// lambda = the meta-gradient from the query gradient that it holds, given the solution.
  void assemble(const V* x, V* lambda) {
    if (in_.freezes) {
      std::fill_n(product_, in_.vectors.size, V{});
      tasks_.add_hessian(0, theta_, x, true, product_);
      tasks_.finish(product_);
      add_scaled(product_, -inverse_pull_, in_.vectors.size, lambda);
    }
    in_.adapted.for_each([&](Index i) { lambda[i] = x[i]; });
  }

 private:
  /// product = (I + H / mu) direction
  void multiply() {
    in_.adapted.for_each([&](Index i) { product_[i] = V{}; });
    tasks_.add_hessian(0, theta_, direction_, false, product_);
    in_.adapted.for_each(
        [&](Index i) { product_[i] = direction_[i] + inverse_pull_ * product_[i]; });
  }

  const Inputs<V>& in_;
  Tasks& tasks_;
  const V* theta_;
  V *x_, *residual_, *direction_, *product_;
  V inverse_pull_;
};

}  // namespace detail

template <class V, class Tasks>
V implicit_gradient(const Inputs<V>& in, Tasks& tasks, V* lambda, Solution<V>& solution) {
  const V loss = tasks.query_gradient(in.vectors.theta(in.algorithm.steps), lambda);
  detail::ConjugateGradient<V, Tasks> solver(in, tasks);
  solver.assemble(solver.solve(lambda, solution), lambda);
  return loss;
}

}  // namespace FOMAML_FAST_NAMESPACE::meta
