#pragma once

#include "activations/activation.hpp"

namespace FOMAML_FAST_NAMESPACE::activations {

/// Exponential linear unit (Clevert, Unterthiner & Hochreiter 2016) as torch.nn.ELU: z where z > 0,
/// else alpha (e^z - 1), whose derivatives are all alpha e^z = h + alpha; at 0 they are alpha. The
/// sign of h is that of z unless alpha is below 0.
struct Elu : Activation {
  static constexpr const char* name = "elu";
  static constexpr Option options[] = {{"alpha", 1}};
  static constexpr Initialization initialization = Initialization::he_normal;

  explicit constexpr Elu(const Parameters& p) : needs_input(p.value[0] < 0), alpha(p.value[0]) {}
  template <class V>
  FOMAML_FAST_INLINE V apply(V z) const {
    return select(z > broadcast<V>(0), z, constant<V>(alpha) * math::expm1(z));
  }
  template <class V>
  FOMAML_FAST_INLINE V d1(V s) const {
    return select(s > broadcast<V>(0), broadcast<V>(1), slope(s));
  }
  template <class V>
  FOMAML_FAST_INLINE V d2(V s) const {
    return select(s > broadcast<V>(0), broadcast<V>(0), slope(s));
  }
  template <class V>
  FOMAML_FAST_INLINE V d3(V s) const {
    return d2(s);
  }
  template <class V>
  FOMAML_FAST_INLINE V d4(V s) const {
    return d2(s);
  }

  bool needs_input;
  double alpha;

 private:
  /// Of the exponential branch.
  template <class V>
  FOMAML_FAST_INLINE V slope(V s) const {
    return needs_input ? constant<V>(alpha) * math::exp(s) : s + constant<V>(alpha);
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::activations
