#pragma once

#include "losses/loss.hpp"

namespace FOMAML_FAST_NAMESPACE::losses {

/// Mean over the outputs of (o - y)^2, without a half.
struct Mse : Loss {
  static constexpr const char* name = "mse";
  static constexpr bool averages_outputs = true;

  template <class V>
  FOMAML_FAST_INLINE static V value(const V* o, const V* y, Index n) {
    const V sum = sum_of<V>(n, [&](Index j) {
      const V e = o[j] - y[j];
      return e * e;
    });
    return sum / broadcast<V>(static_cast<Element<V>>(n));
  }

  template <class V>
  FOMAML_FAST_INLINE static V gradient(const V* o, const V* y, Index n, V* d) {
    const V scale = curvature<V>(n);
    for (Index j = 0; j < n; ++j) d[j] = (o[j] - y[j]) * scale;
    return value(o, y, n);
  }

  template <class V>
  FOMAML_FAST_INLINE static void hessian_vector(const V*, const V*, const V* ro, Index n, V* rd) {
    const V scale = curvature<V>(n);
    for (Index j = 0; j < n; ++j) rd[j] = ro[j] * scale;
  }

 private:
  template <class V>
  FOMAML_FAST_INLINE static V curvature(Index n) {
    return broadcast<V>(Element<V>(2) / static_cast<Element<V>>(n));
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::losses
