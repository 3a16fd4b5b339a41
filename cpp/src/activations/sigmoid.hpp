#pragma once

#include "activations/activation.hpp"

namespace FOMAML_FAST_NAMESPACE::activations {

/// h = 1/(1 + e^-z); sigma' = h (1 - h) = u; sigma'' = u (1 - 2h); then u (1 - 6u) and
/// u (1 - 2h)(1 - 12u).
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
  template <class V>
  FOMAML_FAST_INLINE static V d3(V h) {
    return d1(h) * (broadcast<V>(1) - broadcast<V>(6) * d1(h));
  }
  template <class V>
  FOMAML_FAST_INLINE static V d4(V h) {
    return d2(h) * (broadcast<V>(1) - broadcast<V>(12) * d1(h));
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::activations
