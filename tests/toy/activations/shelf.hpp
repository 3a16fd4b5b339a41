#pragma once

#include "activations/activation.hpp"

namespace FOMAML_FAST_NAMESPACE::activations {

/// max(z, -depth): light enough for products, with an option of its own.
struct Shelf : Activation {
  static constexpr const char* name = "shelf";
  static constexpr Option options[] = {{"depth", 1}};
  static constexpr bool needs_input = false;
  static constexpr bool curved = false;
  static constexpr Fusion fusion = Fusion::all;
  static constexpr Initialization initialization = Initialization::he_normal;

  explicit constexpr Shelf(const Parameters& p) : depth(p.value[0]) {}
  template <class V>
  FOMAML_FAST_INLINE V apply(V z) const {
    return select(z < constant<V>(-depth), constant<V>(-depth), z);
  }
  template <class V>
  FOMAML_FAST_INLINE V d1(V h) const {
    return select(h > constant<V>(-depth), broadcast<V>(1), broadcast<V>(0));
  }
  template <class V>
  FOMAML_FAST_INLINE V d2(V /*h*/) const {
    return broadcast<V>(0);
  }

  double depth;
};

}  // namespace FOMAML_FAST_NAMESPACE::activations
