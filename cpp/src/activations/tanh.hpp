#pragma once

#include "activations/activation.hpp"

namespace FOMAML_FAST_NAMESPACE::activations {

/// h = tanh z; sigma' = 1 - h^2 = u; sigma'' = -2 h u; then u (6 h^2 - 2) and 8 h u (2 - 3 h^2).
struct Tanh : Activation {
  static constexpr const char* name = "tanh";
  static constexpr bool needs_input = false;
  static constexpr Fusion fusion = Fusion::slope;
  static constexpr Initialization initialization = Initialization::glorot_uniform;
  template <class V>
  FOMAML_FAST_INLINE static V apply(V z) {
    return math::tanh(z);
  }
  template <class V>
  FOMAML_FAST_INLINE static V d1(V h) {
    return broadcast<V>(1) - h * h;
  }
  template <class V>
  FOMAML_FAST_INLINE static V d2(V h) {
    return broadcast<V>(-2) * h * d1(h);
  }
  template <class V>
  FOMAML_FAST_INLINE static V d3(V h) {
    return d1(h) * (broadcast<V>(6) * h * h - broadcast<V>(2));
  }
  template <class V>
  FOMAML_FAST_INLINE static V d4(V h) {
    return broadcast<V>(8) * h * d1(h) * (broadcast<V>(2) - broadcast<V>(3) * h * h);
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::activations
