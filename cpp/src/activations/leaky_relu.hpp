#pragma once

#include "activations/activation.hpp"

namespace FOMAML_FAST_NAMESPACE::activations {

/// z where z > 0, else 0.01 z; sigma'(0) = 0.01. The sign of h is that of z.
struct LeakyRelu {
  static constexpr const char* name = "leaky_relu";
  static constexpr bool needs_input = false;
  template <class V>
  FOMAML_FAST_INLINE static V apply(V z) {
    return select(z < broadcast<V>(0), slope<V>() * z, z);
  }
  template <class V>
  FOMAML_FAST_INLINE static V d1(V h) {
    return select(h > broadcast<V>(0), broadcast<V>(1), slope<V>());
  }
  template <class V>
  FOMAML_FAST_INLINE static V d2(V /*h*/) {
    return broadcast<V>(0);
  }

 private:
  template <class V>
  FOMAML_FAST_INLINE static V slope() {
    return broadcast<V>(static_cast<Element<V>>(0.01));
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::activations
