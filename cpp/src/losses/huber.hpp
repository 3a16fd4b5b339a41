#pragma once

#include "losses/loss.hpp"

namespace FOMAML_FAST_NAMESPACE::losses {

/// Mean over the outputs of e^2/2 where |e| <= delta, else delta (|e| - delta/2), e = o - y (Huber
/// 1964; PyTorch's huber_loss).
struct Huber {
  static constexpr const char* name = "huber";
  static constexpr Targets targets = Targets::values;

  template <class V>
  FOMAML_FAST_INLINE static V value(LossParameter p, const V* o, const V* y, Index n) {
    return sum_of<V>(n, [&](Index j) { return term(p, o[j] - y[j]); }) * share<V>(n);
  }

  template <class V>
  FOMAML_FAST_INLINE static V gradient(LossParameter p, const V* o, const V* y, Index n, V* d) {
    for (Index j = 0; j < n; ++j) d[j] = clipped(p, o[j] - y[j]) * share<V>(n);
    return value(p, o, y, n);
  }

  template <class V>
  FOMAML_FAST_INLINE static void hessian_vector(LossParameter p, const V* o, const V* y,
                                                const V* ro, Index n, V* rd) {
    for (Index j = 0; j < n; ++j) {
      const V size = math::abs(o[j] - y[j]);
      rd[j] = select(size > delta<V>(p), broadcast<V>(0), ro[j] * share<V>(n));
    }
  }

 private:
  template <class V>
  FOMAML_FAST_INLINE static V delta(LossParameter p) {
    return broadcast<V>(static_cast<Element<V>>(p.value));
  }
  template <class V>
  FOMAML_FAST_INLINE static V share(Index n) {
    return broadcast<V>(Element<V>(1) / static_cast<Element<V>>(n));
  }
  /// e limited to [-delta, delta]; a NaN comes through.
  template <class V>
  FOMAML_FAST_INLINE static V clipped(LossParameter p, V e) {
    const V limit = delta<V>(p);
    return select(e > limit, limit, select(e < -limit, -limit, e));
  }
  /// c (e - c/2) with c = e clipped: both branches at once.
  template <class V>
  FOMAML_FAST_INLINE static V term(LossParameter p, V e) {
    const V c = clipped(p, e);
    return c * (e - broadcast<V>(Element<V>(0.5)) * c);
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::losses
