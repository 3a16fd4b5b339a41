#pragma once

#include "activations/activation.hpp"

namespace FOMAML_FAST_NAMESPACE::activations {

/// z + bend sin z.
struct Swoosh : Activation {
  static constexpr const char* name = "swoosh";
  static constexpr Option options[] = {{"bend", 0.5}};

  explicit constexpr Swoosh(const Parameters& p) : bend(p.value[0]) {}
  template <class V>
  FOMAML_FAST_INLINE V apply(V z) const {
    return z + constant<V>(bend) * math::sin(z);
  }
  template <class V>
  FOMAML_FAST_INLINE V d1(V z) const {
    return broadcast<V>(1) + constant<V>(bend) * math::cos(z);
  }
  template <class V>
  FOMAML_FAST_INLINE V d2(V z) const {
    return -constant<V>(bend) * math::sin(z);
  }
  template <class V>
  FOMAML_FAST_INLINE V d3(V z) const {
    return -constant<V>(bend) * math::cos(z);
  }
  template <class V>
  FOMAML_FAST_INLINE V d4(V z) const {
    return constant<V>(bend) * math::sin(z);
  }

  double bend;
};

}  // namespace FOMAML_FAST_NAMESPACE::activations
