#pragma once

#include "activations/activation.hpp"

namespace FOMAML_FAST_NAMESPACE::activations {

/// max(z, 0), with sigma'(0) = 0. A NaN comes through: the comparison with it is false.
struct Relu : Activation {
  static constexpr const char* name = "relu";
  static constexpr bool needs_input = false;
  static constexpr bool curved = false;
  static constexpr Fusion fusion = Fusion::all;
  static constexpr Initialization initialization = Initialization::he_normal;
  template <class V>
  FOMAML_FAST_INLINE static V apply(V z) {
    return select(z < broadcast<V>(0), broadcast<V>(0), z);
  }
  template <class V>
  FOMAML_FAST_INLINE static V d1(V h) {
    return select(h > broadcast<V>(0), broadcast<V>(1), broadcast<V>(0));
  }
  template <class V>
  FOMAML_FAST_INLINE static V d2(V /*h*/) {
    return broadcast<V>(0);
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::activations
