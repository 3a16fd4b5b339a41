#pragma once

#include "activations/sigmoid.hpp"

namespace FOMAML_FAST_NAMESPACE::activations {

/// log(1 + e^z), with sigma' the logistic sigmoid.
struct Softplus : Activation {
  static constexpr const char* name = "softplus";
  static constexpr Initialization initialization = Initialization::he_normal;
  template <class V>
  FOMAML_FAST_INLINE static V apply(V z) {
    const V e = math::exp(-math::abs(z));
    return Positive(z) + math::log1p(e);
  }
  template <class V>
  FOMAML_FAST_INLINE static V d1(V z) {
    return Sigmoid::apply(z);
  }
  template <class V>
  FOMAML_FAST_INLINE static V d2(V z) {
    return Sigmoid::d1(Sigmoid::apply(z));
  }
  template <class V>
  FOMAML_FAST_INLINE static V d3(V z) {
    return Sigmoid::d2(Sigmoid::apply(z));
  }
  template <class V>
  FOMAML_FAST_INLINE static V d4(V z) {
    return Sigmoid::d3(Sigmoid::apply(z));
  }

 private:
  template <class V>
  FOMAML_FAST_INLINE static V Positive(V z) {
    return select(z < broadcast<V>(0), broadcast<V>(0), z);
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::activations
