// The inner-optimiser contract.
//
// An inner optimiser is a struct in a file of its own:
//   name              what Python calls it
//   options           its hyper-parameters other than the learning rate, if any (base/options.hpp)
//   kStates           most state vectors per parameter; states(p) is how many these options need
//   follows_gradient(p)   whether direction(g) is g; left out where it never is
//   At<V>(p, t)       step t (counted from 1) of a run with options p, for any pack V:
//     direction(g, state)               what the step subtracts, times the learning rate, for the
//                                       gradient g; the state (0 before the first step) moves on
//     pullback(co_direction, g, state, co_state)
//                                       the cotangent of g; `state` is the one before the step,
//                                       `co_state` holds the cotangent of the state after it and
//                                       receives that of the state before
// It never sees the network: the flows turn the cotangent of g into a Hessian-vector product, so
// every optimiser is exact at once. Clipping, decay, the proximal pull and all kinds of rates are
// added by step.cpp. Adding one: a file here, and a line in registry.def.
#pragma once

#include "base/options.hpp"
#include "kernels/math.hpp"
#include "kernels/vector_math.hpp"

namespace FOMAML_FAST_NAMESPACE::inner {

/// x / (sqrt(q) + eps) for a second moment q >= 0, and what it hands back.
///
/// Where q is 0, also by underflow, the derivative over q is taken as 0 and stays finite: there the
/// root's own derivative is infinite and meets a 0. A denominator of 0 gives 0. A q that has
/// overflowed gives NaN, or a step of 0 would hide it.
template <class V>
class RootScaled {
 public:
  FOMAML_FAST_INLINE RootScaled(V q, V eps) : root_(math::sqrt(q)) {
    const V denominator = root_ + eps;
    inverse_ = select(denominator == V{}, V{}, broadcast<V>(1) / denominator) + (root_ - root_);
  }
  FOMAML_FAST_INLINE V value(V x) const { return x * inverse_; }
  /// Cotangent of x, given that of the value.
  FOMAML_FAST_INLINE V co_x(V co_value) const { return co_value * inverse_; }
  /// Cotangent of q.
  FOMAML_FAST_INLINE V co_q(V co_value, V x) const {
    // x is of the size of the root: their ratio first, or the product overflows.
    const V slope = constant<V>(-0.5) * (x / root_) * inverse_ * inverse_;
    return select(root_ == V{}, V{}, co_value * slope);
  }

 private:
  V root_, inverse_;
};

}  // namespace FOMAML_FAST_NAMESPACE::inner
