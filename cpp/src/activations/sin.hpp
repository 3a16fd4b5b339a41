#pragma once

#include "activations/activation.hpp"

namespace FOMAML_FAST_NAMESPACE::activations {

/// sin z, as in sinusoidal representation networks (Sitzmann et al. 2020); any frequency is the
/// weights'. sigma' = cos z; sigma'' = -sin z; sigma''' = -cos z; sigma'''' = sin z.
struct Sin : Activation {
  static constexpr const char* name = "sin";
  template <class V>
  FOMAML_FAST_INLINE static V apply(V z) {
    return math::sin(z);
  }
  template <class V>
  FOMAML_FAST_INLINE static V d1(V z) {
    return math::cos(z);
  }
  template <class V>
  FOMAML_FAST_INLINE static V d2(V z) {
    return -math::sin(z);
  }
  template <class V>
  FOMAML_FAST_INLINE static V d3(V z) {
    return -math::cos(z);
  }
  template <class V>
  FOMAML_FAST_INLINE static V d4(V z) {
    return math::sin(z);
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::activations
