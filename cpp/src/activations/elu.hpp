#pragma once

#include "activations/activation.hpp"

namespace FOMAML_FAST_NAMESPACE::activations {

/// Exponential linear unit (Clevert, Unterthiner & Hochreiter 2016), alpha = 1: z where z > 0, else
/// e^z - 1, whose derivatives are all e^z = h + 1. At 0, sigma' = sigma'' = 1 as in PyTorch.
struct Elu {
  static constexpr const char* name = "elu";
  static constexpr bool needs_input = false;
  template <class V>
  FOMAML_FAST_INLINE static V apply(V z) {
    return select(z > broadcast<V>(0), z, math::expm1(z));
  }
  template <class V>
  FOMAML_FAST_INLINE static V d1(V h) {
    const V one = broadcast<V>(1);
    return select(h > broadcast<V>(0), one, h + one);
  }
  template <class V>
  FOMAML_FAST_INLINE static V d2(V h) {
    return select(h > broadcast<V>(0), broadcast<V>(0), h + broadcast<V>(1));
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::activations
