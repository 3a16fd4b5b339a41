// The inner loop of one task, forwards and backwards, for any optimiser and any objective.
//
// An Objective has value_and_gradient(theta, gradient) -> loss and
// hessian_vector(theta, v, result), both over the flat parameter vector.
#pragma once

#include "inner/registry.hpp"
#include "network/layout.hpp"

namespace FOMAML_FAST_NAMESPACE::inner {

/// What the loop remembers, in the caller's memory. Without a tape all steps share one slot, and
/// the loop runs in place.
template <class T>
struct Tape {
  T* thetas = nullptr;     ///< [S + 1, P] taped, else [1, P]
  T* gradients = nullptr;  ///< [S, P] taped, else [1, P]
  T* states = nullptr;     ///< [S + 1, kStates, P] taped, else [1, kStates, P]
  Index n_params = 0;
  bool taped = false;

  [[nodiscard]] T* theta(int k) const { return thetas + (taped ? k * n_params : 0); }
  [[nodiscard]] T* gradient(int k) const { return gradients + (taped ? k * n_params : 0); }
  [[nodiscard]] T* state(int k, int n_states) const {
    return states + (taped ? k * n_states * n_params : 0);
  }
};

namespace detail {

/// Calls body(i, layer) for every parameter, layer by layer.
template <class Body>
void for_each_parameter(const Layout& layout, int depth, Body&& body) {
  for (int l = 0; l < depth; ++l) {
    const Index end =
        l + 1 < depth ? layout.weight[static_cast<std::size_t>(l + 1)] : layout.n_params;
    for (Index i = layout.weight[static_cast<std::size_t>(l)]; i < end; ++i) body(i, l);
  }
}

}  // namespace detail

/// Runs `steps` steps from tape.theta(0); `observe(k, loss)` sees the support loss at theta_k.
template <class Optimizer, class T, class Objective, class Rate, class Observe>
void unroll(const Objective& support, const Layout& layout, int depth, const Parameters& parameters,
            int steps, const Rate& rate, const Tape<T>& tape, Observe&& observe) {
  constexpr int kStates = Optimizer::kStates;
  const Index P = layout.n_params;
  for (Index i = 0; i < kStates * P; ++i) tape.state(0, kStates)[i] = 0;
  for (int k = 0; k < steps; ++k) {
    const T* theta = tape.theta(k);
    T* next = tape.theta(k + 1);
    T* g = tape.gradient(k);
    const T* state = tape.state(k, kStates);
    T* next_state = tape.state(k + 1, kStates);
    observe(k, support.value_and_gradient(theta, g));
    detail::for_each_parameter(layout, depth, [&](Index i, int layer) {
      T element_state[kStates > 0 ? kStates : 1];
      for (int s = 0; s < kStates; ++s) element_state[s] = state[s * P + i];
      next[i] = Optimizer::step(parameters, theta[i], g[i], element_state, rate(k, layer), k + 1);
      for (int s = 0; s < kStates; ++s) next_state[s * P + i] = element_state[s];
    });
  }
}

/// Pulls the cotangent `lambda` of theta_S back to theta_0, in place. `co_state` holds kStates * P
/// numbers, `v` and `hv` P each.
template <class Optimizer, class T, class Objective, class Rate>
void pull_back(const Objective& support, const Layout& layout, int depth,
               const Parameters& parameters, int steps, const Rate& rate, const Tape<T>& tape,
               T* lambda, T* co_state, T* v, T* hv) {
  constexpr int kStates = Optimizer::kStates;
  const Index P = layout.n_params;
  for (Index i = 0; i < kStates * P; ++i) co_state[i] = 0;
  for (int k = steps - 1; k >= 0; --k) {
    const T* theta = tape.theta(k);
    const T* g = tape.gradient(k);
    const T* state = tape.state(k, kStates);
    detail::for_each_parameter(layout, depth, [&](Index i, int layer) {
      T element_state[kStates > 0 ? kStates : 1], element_co_state[kStates > 0 ? kStates : 1];
      for (int s = 0; s < kStates; ++s) {
        element_state[s] = state[s * P + i];
        element_co_state[s] = co_state[s * P + i];
      }
      const Pullback<T> back =
          Optimizer::pullback(parameters, lambda[i], element_co_state, theta[i], g[i],
                              element_state, rate(k, layer), k + 1);
      lambda[i] = back.theta;
      v[i] = back.gradient;
      for (int s = 0; s < kStates; ++s) co_state[s * P + i] = element_co_state[s];
    });
    support.hessian_vector(theta, v, hv);
    for (Index i = 0; i < P; ++i) lambda[i] += hv[i];
  }
}

}  // namespace FOMAML_FAST_NAMESPACE::inner
