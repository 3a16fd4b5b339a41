#pragma once

#include "losses/loss.hpp"

namespace FOMAML_FAST_NAMESPACE::losses {

/// Mean over the outputs of -y log s(o) - (1 - y) log(1 - s(o)), s the logistic sigmoid of a logit:
/// max(o, 0) - o y + log(1 + e^-|o|), which cannot overflow.
struct BinaryCrossEntropy : Loss {
  static constexpr const char* name = "binary_cross_entropy";
  static constexpr bool averages_outputs = true;
  static constexpr bool logits = true;

  template <class V>
  FOMAML_FAST_INLINE static V value(const V* o, const V* y, Index n) {
    const V sum =
        sum_of<V>(n, [&](Index j) { return term(o[j], y[j], math::exp(-math::abs(o[j]))); });
    return sum * share<V>(n);
  }

  template <class V>
  FOMAML_FAST_INLINE static V gradient(const V* o, const V* y, Index n, V* d) {
    const V sum = sum_of<V>(n, [&](Index j) {
      const V e = math::exp(-math::abs(o[j])), one = broadcast<V>(1);
      d[j] = (select(o[j] < broadcast<V>(0), e, one) / (one + e) - y[j]) * share<V>(n);
      return term(o[j], y[j], e);
    });
    return sum * share<V>(n);
  }

  /// s (1 - s) ro, without the cancellation of 1 - s.
  template <class V>
  FOMAML_FAST_INLINE static void hessian_vector(const V* o, const V*, const V* ro, Index n, V* rd) {
    for (Index j = 0; j < n; ++j) {
      const V e = math::exp(-math::abs(o[j])), scale = broadcast<V>(1) / (broadcast<V>(1) + e);
      rd[j] = e * scale * scale * ro[j] * share<V>(n);
    }
  }

 private:
  template <class V>
  FOMAML_FAST_INLINE static V term(V o, V y, V e) {
    return select(o < broadcast<V>(0), broadcast<V>(0), o) - o * y + math::log1p(e);
  }
  template <class V>
  FOMAML_FAST_INLINE static V share(Index n) {
    return broadcast<V>(Element<V>(1) / static_cast<Element<V>>(n));
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::losses
