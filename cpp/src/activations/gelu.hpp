#pragma once

#include "activations/activation.hpp"

namespace FOMAML_FAST_NAMESPACE::activations {

/// Gaussian error linear unit, tanh form (Hendrycks & Gimpel 2016): z (1 + tanh u)/2 with
/// u = sqrt(2/pi) (z + 0.044715 z^3).
struct Gelu {
  static constexpr const char* name = "gelu";
  static constexpr bool needs_input = true;
  template <class V>
  FOMAML_FAST_INLINE static V apply(V z) {
    return half<V>() * z * (broadcast<V>(1) + math::tanh(u(z)));
  }
  template <class V>
  FOMAML_FAST_INLINE static V d1(V z) {
    const V t = math::tanh(u(z));
    return half<V>() * (broadcast<V>(1) + t) + half<V>() * z * (broadcast<V>(1) - t * t) * du(z);
  }
  template <class V>
  FOMAML_FAST_INLINE static V d2(V z) {
    const V t = math::tanh(u(z));
    const V sech2 = broadcast<V>(1) - t * t;
    const V slope = du(z);
    return sech2 * (slope + half<V>() * z * (ddu(z) - broadcast<V>(2) * t * slope * slope));
  }

 private:
  static constexpr double kScale = 0.79788456080286535588;  // sqrt(2/pi)
  static constexpr double kCubic = 0.044715;
  template <class V>
  FOMAML_FAST_INLINE static V constant(double x) {
    return broadcast<V>(static_cast<Element<V>>(x));
  }
  template <class V>
  FOMAML_FAST_INLINE static V half() {
    return constant<V>(0.5);
  }
  template <class V>
  FOMAML_FAST_INLINE static V u(V z) {
    return z * (constant<V>(kScale) + constant<V>(kScale * kCubic) * z * z);
  }
  template <class V>
  FOMAML_FAST_INLINE static V du(V z) {
    return constant<V>(kScale) + constant<V>(3 * kScale * kCubic) * z * z;
  }
  template <class V>
  FOMAML_FAST_INLINE static V ddu(V z) {
    return constant<V>(6 * kScale * kCubic) * z;
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::activations
