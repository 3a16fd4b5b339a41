#pragma once

#include "losses/loss.hpp"

namespace FOMAML_FAST_NAMESPACE::losses {

/// Mean over the outputs of tau e where e > 0, else (tau - 1) e, e = y - o: the pinball loss, least
/// at the tau-quantile (Koenker & Bassett 1978). At e = 0 the gradient is 0; the Hessian is 0.
struct Quantile : Loss {
  static constexpr const char* name = "quantile";
  static constexpr bool averages_outputs = true;
  static constexpr Option options[] = {{"tau", 0.5}};

  explicit constexpr Quantile(const Parameters& p) : tau(p.value[0]) {}

  template <class V>
  FOMAML_FAST_INLINE V value(const V* o, const V* y, Index n) const {
    const V sum = sum_of<V>(n, [&](Index j) {
      const V e = y[j] - o[j];
      return e * slope(e);
    });
    return sum * share<V>(n);
  }

  template <class V>
  FOMAML_FAST_INLINE V gradient(const V* o, const V* y, Index n, V* d) const {
    for (Index j = 0; j < n; ++j) d[j] = -slope(y[j] - o[j]) * share<V>(n);
    return value(o, y, n);
  }

  template <class V>
  FOMAML_FAST_INLINE void hessian_vector(const V*, const V*, const V*, Index n, V* rd) const {
    for (Index j = 0; j < n; ++j) rd[j] = broadcast<V>(0);
  }

  double tau;

 private:
  /// Over e; e itself where that is 0 or NaN.
  template <class V>
  FOMAML_FAST_INLINE V slope(V e) const {
    const V zero = broadcast<V>(0);
    const V above = constant<V>(tau);
    const V below = constant<V>(tau - 1);
    return select(e > zero, above, select(e < zero, below, e));
  }
  template <class V>
  FOMAML_FAST_INLINE static V share(Index n) {
    return broadcast<V>(Element<V>(1) / static_cast<Element<V>>(n));
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::losses
