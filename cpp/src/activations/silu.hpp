#pragma once

#include "activations/sigmoid.hpp"

namespace FOMAML_FAST_NAMESPACE::activations {

/// z s(z), s the logistic sigmoid; sigma' = s + z s'; sigma'' = 2 s' + z s''; and so on.
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
  template <class V>
  FOMAML_FAST_INLINE static V d3(V z) {
    const V s = Sigmoid::apply(z);
    return broadcast<V>(3) * Sigmoid::d2(s) + z * Sigmoid::d3(s);
  }
  template <class V>
  FOMAML_FAST_INLINE static V d4(V z) {
    const V s = Sigmoid::apply(z);
    return broadcast<V>(4) * Sigmoid::d3(s) + z * Sigmoid::d4(s);
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::activations
