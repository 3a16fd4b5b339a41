#pragma once

#include "activations/activation.hpp"

namespace FOMAML_FAST_NAMESPACE::activations {

/// sin(omega z), as in sinusoidal representation networks (Sitzmann et al. 2020, section 3.2);
/// sigma' = omega cos(omega z), sigma'' = -omega^2 sin(omega z), sigma''' = -omega^3 cos(omega z),
/// sigma'''' = omega^4 sin(omega z).
struct Sin : Activation {
  static constexpr const char* name = "sin";
  static constexpr Option options[] = {{"frequency", 1}};

  explicit constexpr Sin(const Parameters& p) : frequency(p.value[0]) {}
  template <class V>
  FOMAML_FAST_INLINE V apply(V z) const {
    return math::sin(constant<V>(frequency) * z);
  }
  template <class V>
  FOMAML_FAST_INLINE V d1(V z) const {
    const V omega = constant<V>(frequency);
    return omega * math::cos(omega * z);
  }
  template <class V>
  FOMAML_FAST_INLINE V d2(V z) const {
    const V omega = constant<V>(frequency);
    return -omega * omega * math::sin(omega * z);
  }
  template <class V>
  FOMAML_FAST_INLINE V d3(V z) const {
    const V omega = constant<V>(frequency);
    return -omega * omega * omega * math::cos(omega * z);
  }
  template <class V>
  FOMAML_FAST_INLINE V d4(V z) const {
    const V omega = constant<V>(frequency);
    return omega * omega * omega * omega * math::sin(omega * z);
  }

  double frequency;
};

}  // namespace FOMAML_FAST_NAMESPACE::activations
