#pragma once

#include "losses/softmax.hpp"

namespace FOMAML_FAST_NAMESPACE::losses {

/// -sum_j p_j log softmax(o)_j for a row p of probabilities, which need not sum to 1.
struct SoftCrossEntropy : Loss {
  static constexpr const char* name = "soft_cross_entropy";
  static constexpr Targets targets = Targets::probabilities;
  static constexpr bool masks_classes = true;

  template <class V>
  FOMAML_FAST_INLINE static V value(const V* o, const V* p, Index n) {
    const V shift = largest(o, n);
    const V sum = sum_of<V>(n, [&](Index j) { return math::exp(o[j] - shift); });
    return total(p, n) * math::log(sum) + below(o, p, shift, n);
  }

  template <class V>
  FOMAML_FAST_INLINE static V gradient(const V* o, const V* p, Index n, V* d) {
    const V shift = largest(o, n), mass = total(p, n);
    const V sum = softmax(o, shift, n, d);
    for (Index j = 0; j < n; ++j) d[j] = mass * d[j] - p[j];
    return mass * math::log(sum) + below(o, p, shift, n);
  }

  template <class V>
  FOMAML_FAST_INLINE static void hessian_vector(const V* o, const V* p, const V* ro, Index n,
                                                V* rd) {
    softmax_jacobian(o, ro, n, rd);
    const V mass = total(p, n);
    for (Index j = 0; j < n; ++j) rd[j] *= mass;
  }

 private:
  template <class V>
  FOMAML_FAST_INLINE static V total(const V* p, Index n) {
    return sum_of<V>(n, [&](Index j) { return p[j]; });
  }
  /// sum_j p_j (shift - o_j): terms of one sign, 0 where p_j is, though the difference overflow.
  template <class V>
  FOMAML_FAST_INLINE static V below(const V* o, const V* p, V shift, Index n) {
    const V zero{};
    return sum_of<V>(n, [&](Index j) { return select(p[j] == zero, zero, p[j] * (shift - o[j])); });
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::losses
