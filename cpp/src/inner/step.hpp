// One inner step and its pullback, for every optimiser.
//
// What all optimisers share stands here, once (docs/algorithms.md):
//   g  = gradient of the support loss, times min(1, c / ||g||) where clipped
//   g' = g + weight_decay theta_k + proximal (theta_k - theta_0)
//   d  = the optimiser's direction from g' and its state
//   theta_{k+1} = theta_k - rate (d + decoupled_weight_decay theta_k)
#pragma once

#include "inner/adapted.hpp"
#include "inner/registry.hpp"

namespace FOMAML_FAST_NAMESPACE::inner {

/// How a task adapts: an optimiser, and what may be added to any.
struct Spec {
  InnerId id = InnerId::sgd;
  Parameters parameters{};
  double weight_decay = 0;
  double decoupled_weight_decay = 0;
  double proximal = 0;
  double clip_norm = 0;  ///< 0: not clipped

  /// Plain gradient descent: theta - rate g.
  [[nodiscard]] bool is_vanilla_sgd() const {
    return follows_gradient(id, parameters) && !has_terms();
  }
  /// Whether anything is added to the optimiser itself.
  [[nodiscard]] bool has_terms() const {
    return weight_decay != 0 || decoupled_weight_decay != 0 || proximal != 0 || clip_norm != 0;
  }
  [[nodiscard]] int states() const { return inner_states(id, parameters); }
};

/// Where step k starts: vectors of the task, states [states, size].
template <class V>
struct Before {
  const V* theta = nullptr;
  const V* anchor = nullptr;  ///< theta_0
  const V* gradient = nullptr;
  const V* state = nullptr;
};

/// Writes the adapted parts of theta_{k+1} and of the new state; both may be the old ones.
template <class V>
void take_step(const Spec& spec, const Adapted<V>& adapted, int k, const Before<V>& before,
               V* theta, V* state);

/// Cotangents on the way back, of adapted parameters.
template <class V>
struct Cotangents {
  V* theta = nullptr;     ///< in: of theta_{k+1}; out: the step's direct part of that of theta_k
  V* state = nullptr;     ///< [states, size], in: of the state after; out: before
  V* gradient = nullptr;  ///< out: of the support gradient, which takes it through the Hessian
  V* anchor = nullptr;    ///< added to; null where nothing pulls
  V* rate = nullptr;      ///< added to, in the shape of the rates; null where none is learned
};

/// `exact` false replaces the step's Jacobian by the identity: only rates get anything.
template <class V>
void pull_back_step(const Spec& spec, const Adapted<V>& adapted, int k, const Before<V>& before,
                    bool exact, const Cotangents<V>& cotangents);

}  // namespace FOMAML_FAST_NAMESPACE::inner
