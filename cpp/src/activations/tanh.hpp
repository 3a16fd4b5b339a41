#pragma once

#include "activations/activation.hpp"

namespace FOMAML_FAST_NAMESPACE::activations {

/// h = tanh z; sigma' = 1 - h^2; sigma'' = -2 h (1 - h^2).
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
};

}  // namespace FOMAML_FAST_NAMESPACE::activations
