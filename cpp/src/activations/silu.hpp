#pragma once

#include "activations/sigmoid.hpp"

namespace FOMAML_FAST_NAMESPACE::activations {

/// z s(z), s the logistic sigmoid; sigma' = s + z s'; sigma'' = 2 s' + z s''.
struct Silu : Activation {
  static constexpr const char* name = "silu";
  static constexpr Initialization initialization = Initialization::he_normal;
  template <class V>
  FOMAML_FAST_INLINE static V apply(V z) {
    return z * Sigmoid::apply(z);
  }
  template <class V>
  FOMAML_FAST_INLINE static V d1(V z) {
    const V s = Sigmoid::apply(z);
    return s + z * Sigmoid::d1(s);
  }
  template <class V>
  FOMAML_FAST_INLINE static V d2(V z) {
    const V s = Sigmoid::apply(z);
    return broadcast<V>(2) * Sigmoid::d1(s) + z * Sigmoid::d2(s);
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::activations
