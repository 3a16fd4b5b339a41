#pragma once

#include "losses/loss.hpp"

namespace FOMAML_FAST_NAMESPACE::losses {

/// Mean over the outputs of e^2/2 where |e| <= delta, else delta (|e| - delta/2), e = o - y (Huber
/// 1964; PyTorch's huber_loss).
struct Huber : Loss {
  static constexpr const char* name = "huber";
  static constexpr bool averages_outputs = true;
  static constexpr Option options[] = {{"delta", 1}};

  explicit constexpr Huber(const Parameters& p) : delta(p.value[0]) {}

  template <class V>
  FOMAML_FAST_INLINE V value(const V* o, const V* y, Index n) const {
    return sum_of<V>(n, [&](Index j) { return term(o[j] - y[j]); }) * share<V>(n);
  }

  template <class V>
  FOMAML_FAST_INLINE V gradient(const V* o, const V* y, Index n, V* d) const {
    for (Index j = 0; j < n; ++j) d[j] = clipped(o[j] - y[j]) * share<V>(n);
    return value(o, y, n);
  }

  template <class V>
  FOMAML_FAST_INLINE void hessian_vector(const V* o, const V* y, const V* ro, Index n,
                                         V* rd) const {
    for (Index j = 0; j < n; ++j) {
      const V size = math::abs(o[j] - y[j]);
      rd[j] = select(size > constant<V>(delta), broadcast<V>(0), ro[j] * share<V>(n));
    }
  }

  double delta;

 private:
  template <class V>
  FOMAML_FAST_INLINE static V share(Index n) {
    return broadcast<V>(Element<V>(1) / static_cast<Element<V>>(n));
  }
  /// e limited to [-delta, delta]; a NaN comes through.
  template <class V>
  FOMAML_FAST_INLINE V clipped(V e) const {
    const V limit = constant<V>(delta);
    return select(e > limit, limit, select(e < -limit, -limit, e));
  }
  /// c (e - c/2) with c = e clipped: both branches at once.
  template <class V>
  FOMAML_FAST_INLINE V term(V e) const {
    const V c = clipped(e);
    return c * (e - broadcast<V>(Element<V>(0.5)) * c);
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::losses
