#pragma once

#include "activations/activation.hpp"

namespace FOMAML_FAST_NAMESPACE::activations {

struct Identity : Activation {
  static constexpr const char* name = "identity";
  static constexpr bool needs_input = false;
  static constexpr bool curved = false;
  static constexpr bool is_identity = true;
  static constexpr Fusion fusion = Fusion::all;
  template <class V>
  FOMAML_FAST_INLINE static V apply(V z) {
    return z;
  }
  template <class V>
  FOMAML_FAST_INLINE static V d1(V /*h*/) {
    return broadcast<V>(1);
  }
  template <class V>
  FOMAML_FAST_INLINE static V d2(V /*h*/) {
    return broadcast<V>(0);
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::activations
