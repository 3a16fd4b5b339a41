// The inner loop of one task, and how the meta-gradient of it flows back to the initialisation, for
// any algorithm and any engine.
//
// An engine gives `Tasks`: one task, or as many as a pack V has lanes, over vectors of packs:
//   void use_step(k)                    from here on, the support rows are those of step k, or
//                                       those of the last
//   V support_gradient(k, theta, g)     support loss at theta, where step k starts, and its
//                                       gradient over what adapts; what the pass leaves is kept for
//                                       slot k
//   void add_hessian(k, theta, v, all, to)
//                                       to += H v at slot k, for v over what adapts; rows of H that
//                                       do not adapt may be left out (all false) or put off to
//                                       `finish`
//   void finish(to)                     adds what was put off
//   V query_gradient(theta, g)          query loss and its gradient over all parameters
//   V query_loss(theta)
// Losses are packs: one number per task.
//
// First order and exact: Finn, Abbeel & Levine 2017. Multi-step loss: Antoniou, Edwards & Storkey
// 2019. Reptile: Nichol, Achiam & Schulman 2018.
#pragma once

#include "meta/implicit.hpp"

namespace FOMAML_FAST_NAMESPACE::meta {

/// Takes all steps. `observe(k, loss)` sees the support loss at theta_k before step k is taken.
/// Returns 0 in the lanes of tasks whose losses were all finite.
template <class V, class Tasks, class Observe>
V unroll(const Inputs<V>& in, Tasks& tasks, Observe&& observe) {
  const Vectors<V>& vectors = in.vectors;
  std::fill_n(vectors.state(0), vectors.n_states * vectors.size, V{});
  V wrong{};
  for (int k = 0; k < in.algorithm.steps && !in.stopped(); ++k) {
    const V* theta = vectors.theta(k);
    tasks.use_step(k);
    const V loss = tasks.support_gradient(vectors.slot(k), theta, vectors.gradient(k));
    observe(k, loss);
    wrong += defect(loss);
    inner::take_step<V>(in.algorithm.inner, in.adapted, k,
                        {theta, vectors.theta(0), vectors.gradient(k), vectors.state(k)},
                        vectors.theta(k + 1), vectors.state(k + 1));
  }
  return wrong;
}

namespace detail {

/// lambda_S … lambda_0: the query gradients pulled back through the steps.
template <class V, class Tasks>
V through_steps(const Inputs<V>& in, Tasks& tasks, V* lambda) {
  const AlgorithmSpec& algorithm = in.algorithm;
  const Vectors<V>& vectors = in.vectors;
  const int steps = algorithm.steps;
  const Index size = vectors.size;
  const bool exact = algorithm.flow == Flow::exact;
  const bool pulls = exact && algorithm.inner.proximal != 0;

  if (vectors.co_rate != nullptr) std::fill_n(vectors.co_rate, vectors.n_rates, V{});
  V loss = tasks.query_gradient(vectors.theta(steps), lambda);
  if (algorithm.multi_step) {
    const V weight = broadcast<V>(in.step_weights[steps - 1]);
    loss *= weight;
    for (Index i = 0; i < size; ++i) lambda[i] *= weight;
  }
  if (!vectors.taped) return loss;

  std::fill_n(vectors.co_state, vectors.n_states * size, V{});
  if (in.freezes || algorithm.context > 0) std::fill_n(vectors.co_gradient, size, V{});
  if (pulls) std::fill_n(vectors.co_anchor, size, V{});
  for (int k = steps - 1; k >= 0 && !in.stopped(); --k) {
    inner::pull_back_step<V>(
        algorithm.inner, in.adapted, k,
        {vectors.theta(k), vectors.theta(0), vectors.gradient(k), vectors.state(k)}, exact,
        {lambda, vectors.co_state, vectors.co_gradient, vectors.co_anchor, vectors.co_rate});
    if (exact) tasks.use_step(k);
    if (exact) tasks.add_hessian(k, vectors.theta(k), vectors.co_gradient, true, lambda);
    if (k > 0 && algorithm.multi_step && in.step_weights[k - 1] != 0) {
      const V weight = broadcast<V>(in.step_weights[k - 1]);
      loss += weight * tasks.query_gradient(vectors.theta(k), vectors.scratch);
      add_scaled(vectors.scratch, weight, size, lambda);
    }
  }
  if (exact) tasks.finish(lambda);
  if (pulls) add_scaled(vectors.co_anchor, broadcast<V>(1), size, lambda);
  return loss;
}

}  // namespace detail

/// After `unroll`: the meta-gradient of every task in `lambda`, [size]; its query loss.
template <class V, class Tasks>
V meta_gradient(const Inputs<V>& in, Tasks& tasks, V* lambda, Solution<V>& solution) {
  const Vectors<V>& vectors = in.vectors;
  switch (in.algorithm.flow) {
    case Flow::first:
    case Flow::exact:
      return detail::through_steps(in, tasks, lambda);
    case Flow::reptile: {
      const V *start = vectors.theta(0), *end = vectors.theta(in.algorithm.steps);
      std::fill_n(lambda, vectors.size, V{});
      if (in.algorithm.steps > 0) {
        in.adapted.for_each([&](Index i) { lambda[i] = start[i] - end[i]; });
      }
      return tasks.query_loss(end);
    }
    case Flow::implicit:
      return implicit_gradient(in, tasks, lambda, solution);
  }
  __builtin_unreachable();
}

}  // namespace FOMAML_FAST_NAMESPACE::meta
