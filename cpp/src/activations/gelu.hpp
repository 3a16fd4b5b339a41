#pragma once

#include "activations/activation.hpp"

namespace FOMAML_FAST_NAMESPACE::activations {

/// Gaussian error linear unit, tanh form (Hendrycks & Gimpel 2016): z (1 + tanh u)/2 with
/// u = sqrt(2/pi) (z + 0.044715 z^3), written as z s for the logistic s = 1/(1 + e^-2u), which
/// keeps its relative accuracy where 1 + tanh u cancels.
struct Gelu : Activation {
  static constexpr const char* name = "gelu";
  static constexpr Initialization initialization = Initialization::he_normal;
  template <class V>
  FOMAML_FAST_INLINE static V apply(V z) {
    return z * Gate<V>(z).s;
  }
  template <class V>
  FOMAML_FAST_INLINE static V d1(V z) {
    const Gate<V> gate(z);
    return gate.s + z * gate.ds;
  }
  template <class V>
  FOMAML_FAST_INLINE static V d2(V z) {
    const Gate<V> gate(z);
    return gate.ds + gate.ds + z * gate.dds(z);
  }
  template <class V>
  FOMAML_FAST_INLINE static V d3(V z) {
    const Gate<V> gate(z);
    return broadcast<V>(3) * gate.dds(z) + z * gate.d3s(z);
  }
  template <class V>
  FOMAML_FAST_INLINE static V d4(V z) {
    const Gate<V> gate(z);
    return broadcast<V>(4) * gate.d3s(z) + z * gate.d4s(z);
  }

 private:
  static constexpr double kScale = 0.79788456080286535588;  // sqrt(2/pi)
  static constexpr double kCubic = 0.044715;
  static constexpr double kSaturated = 25;  // e^-2u is 0 in float64 too

  /// The logistic of 2u and its derivatives over z.
  template <class V>
  struct Gate {
    V s;         ///< s
    V variance;  ///< s (1 - s), without the cancellation of 1 - s
    V slope;     ///< 2 u'
    V ds;        ///< s'

    FOMAML_FAST_INLINE explicit Gate(V unlimited) {
      // Beyond, s is 0 or 1 to the last bit, and z^3 would overflow.
      const V z = math::limited(unlimited, -kSaturated, kSaturated);
      const V u2 = z * (constant<V>(2 * kScale) + constant<V>(2 * kScale * kCubic) * z * z);
      // Only e^-|2u| is formed: it cannot overflow.
      const V e = math::exp(-math::abs(u2));
      const V one = broadcast<V>(1), scale = one / (one + e);
      s = select(u2 < broadcast<V>(0), e, one) * scale;
      variance = e * scale * scale;
      slope = constant<V>(2 * kScale) + constant<V>(6 * kScale * kCubic) * z * z;
      ds = variance * slope;
    }
    FOMAML_FAST_INLINE V dds(V z) const {
      return variance * bend(z) + ds * slope * (broadcast<V>(1) - s - s);
    }
    // Faa di Bruno's formula of the logistic of 2u, whose fourth derivative over z is 0.
    FOMAML_FAST_INLINE V d3s(V z) const {
      return third() * slope * slope * slope + broadcast<V>(3) * second() * slope * bend(z) +
             variance * constant<V>(kTwist);
    }
    FOMAML_FAST_INLINE V d4s(V z) const {
      const V square = slope * slope, b = bend(z);
      return fourth() * square * square + broadcast<V>(6) * third() * square * b +
             second() * (broadcast<V>(3) * b * b + constant<V>(4 * kTwist) * slope);
    }

   private:
    static constexpr double kTwist = 12 * kScale * kCubic;  // 2 u'''

    /// 2 u''
    FOMAML_FAST_INLINE static V bend(V z) { return constant<V>(kTwist) * z; }
    // Derivatives of the logistic itself: see Sigmoid.
    FOMAML_FAST_INLINE V second() const { return variance * (broadcast<V>(1) - s - s); }
    FOMAML_FAST_INLINE V third() const {
      return variance * (broadcast<V>(1) - broadcast<V>(6) * variance);
    }
    FOMAML_FAST_INLINE V fourth() const {
      return second() * (broadcast<V>(1) - broadcast<V>(12) * variance);
    }
  };
};

}  // namespace FOMAML_FAST_NAMESPACE::activations
