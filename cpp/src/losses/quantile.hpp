#pragma once

#include "losses/loss.hpp"

namespace FOMAML_FAST_NAMESPACE::losses {

/// Mean over the outputs of tau e where e > 0, else (tau - 1) e, e = y - o: the pinball loss, least
/// at the tau-quantile (Koenker & Bassett 1978). At e = 0 the gradient is 0; the Hessian is 0.
struct Quantile {
  static constexpr const char* name = "quantile";
  static constexpr Targets targets = Targets::values;

  template <class V>
  FOMAML_FAST_INLINE static V value(LossParameter p, const V* o, const V* y, Index n) {
    const V sum = sum_of<V>(n, [&](Index j) {
      const V e = y[j] - o[j];
      return e * slope(p, e);
    });
    return sum * share<V>(n);
  }

  template <class V>
  FOMAML_FAST_INLINE static V gradient(LossParameter p, const V* o, const V* y, Index n, V* d) {
    for (Index j = 0; j < n; ++j) d[j] = -slope(p, y[j] - o[j]) * share<V>(n);
    return value(p, o, y, n);
  }

  template <class V>
  FOMAML_FAST_INLINE static void hessian_vector(LossParameter, const V*, const V*, const V*,
                                                Index n, V* rd) {
    for (Index j = 0; j < n; ++j) rd[j] = broadcast<V>(0);
  }

 private:
  /// Over e; e itself where that is 0 or NaN.
  template <class V>
  FOMAML_FAST_INLINE static V slope(LossParameter p, V e) {
    const V zero = broadcast<V>(0);
    const V above = broadcast<V>(static_cast<Element<V>>(p.value));
    const V below = broadcast<V>(static_cast<Element<V>>(p.value - 1));
    return select(e > zero, above, select(e < zero, below, e));
  }
  template <class V>
  FOMAML_FAST_INLINE static V share(Index n) {
    return broadcast<V>(Element<V>(1) / static_cast<Element<V>>(n));
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::losses
