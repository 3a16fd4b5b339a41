#pragma once

#include "activations/activation.hpp"

namespace FOMAML_FAST_NAMESPACE::activations {

/// z where z > 0, else negative_slope z, as torch.nn.LeakyReLU; sigma'(0) = negative_slope. The
/// sign of h is that of z unless the slope is below 0.
struct LeakyRelu : Activation {
  static constexpr const char* name = "leaky_relu";
  static constexpr Option options[] = {{"negative_slope", 0.01}};
  static constexpr bool curved = false;
  static constexpr Initialization initialization = Initialization::he_normal;

  explicit constexpr LeakyRelu(const Parameters& p)
      : needs_input(p.value[0] < 0), negative_slope(p.value[0]) {}
  template <class V>
  FOMAML_FAST_INLINE V apply(V z) const {
    return select(z < broadcast<V>(0), constant<V>(negative_slope) * z, z);
  }
  template <class V>
  FOMAML_FAST_INLINE V d1(V s) const {
    return select(s > broadcast<V>(0), broadcast<V>(1), constant<V>(negative_slope));
  }
  template <class V>
  FOMAML_FAST_INLINE V d2(V /*s*/) const {
    return broadcast<V>(0);
  }

  bool needs_input;
  double negative_slope;
};

}  // namespace FOMAML_FAST_NAMESPACE::activations
