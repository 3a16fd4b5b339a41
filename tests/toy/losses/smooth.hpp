#pragma once

#include "losses/loss.hpp"

namespace FOMAML_FAST_NAMESPACE::losses {

/// Mean over the outputs of sqrt(width^2 + e^2) - width, e = o - y.
struct Smooth : Loss {
  static constexpr const char* name = "smooth";
  static constexpr Option options[] = {{"width", 1}};

  explicit constexpr Smooth(const Parameters& p) : width(p.value[0]) {}

  template <class V>
  FOMAML_FAST_INLINE V value(const V* o, const V* y, Index n) const {
    V sum{};
    for (Index j = 0; j < n; ++j) sum += root(o[j] - y[j]) - constant<V>(width);
    return sum / constant<V>(static_cast<double>(n));
  }
  template <class V>
  FOMAML_FAST_INLINE V gradient(const V* o, const V* y, Index n, V* d) const {
    for (Index j = 0; j < n; ++j) {
      d[j] = (o[j] - y[j]) / (root(o[j] - y[j]) * constant<V>(static_cast<double>(n)));
    }
    return value(o, y, n);
  }
  template <class V>
  FOMAML_FAST_INLINE void hessian_vector(const V* o, const V* y, const V* ro, Index n,
                                         V* rd) const {
    for (Index j = 0; j < n; ++j) {
      const V r = root(o[j] - y[j]);
      const V bend = constant<V>(width * width) / (r * r * r);
      rd[j] = bend * ro[j] / constant<V>(static_cast<double>(n));
    }
  }

  double width;

 private:
  template <class V>
  FOMAML_FAST_INLINE V root(V e) const {
    return math::sqrt(constant<V>(width * width) + e * e);
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::losses
