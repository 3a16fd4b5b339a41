#pragma once

#include "activations/activation.hpp"

namespace FOMAML_FAST_NAMESPACE::activations {

/// h = 1/(1 + e^-z); sigma' = h (1 - h); sigma'' = h (1 - h)(1 - 2h).
struct Sigmoid : Activation {
  static constexpr const char* name = "sigmoid";
  static constexpr bool needs_input = false;
  static constexpr Initialization initialization = Initialization::glorot_uniform;
  template <class V>
  FOMAML_FAST_INLINE static V apply(V z) {
    // Only e^-|z| is formed: it cannot overflow.
    const V e = math::exp(-math::abs(z));
    const V one = broadcast<V>(1);
    return select(z < broadcast<V>(0), e, one) / (one + e);
  }
  template <class V>
  FOMAML_FAST_INLINE static V d1(V h) {
    return h * (broadcast<V>(1) - h);
  }
  template <class V>
  FOMAML_FAST_INLINE static V d2(V h) {
    return d1(h) * (broadcast<V>(1) - h - h);
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::activations
