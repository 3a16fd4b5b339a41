#pragma once

#include "losses/soft_cross_entropy.hpp"

namespace FOMAML_FAST_NAMESPACE::losses {

/// -log softmax(o)[y] for a class index y, by a shifted log-sum-exp that cannot overflow.
struct CrossEntropy : Loss {
  static constexpr const char* name = "cross_entropy";
  static constexpr Targets targets = Targets::labels;
  static constexpr bool masks_classes = true;
  using OfNumbers = SoftCrossEntropy;

  template <class V>
  FOMAML_FAST_INLINE static V value(const V* o, const V* y, Index n) {
    const V shift = largest(o, n);
    const V sum = sum_of<V>(n, [&](Index j) { return math::exp(o[j] - shift); });
    return math::log(sum) + (shift - chosen(o, y[0], n));
  }

  template <class V>
  FOMAML_FAST_INLINE static V gradient(const V* o, const V* y, Index n, V* d) {
    const V shift = largest(o, n);
    const V sum = softmax(o, shift, n, d);
    for (Index j = 0; j < n; ++j) d[j] = select(is_class(y[0], j), d[j] - broadcast<V>(1), d[j]);
    return math::log(sum) + (shift - chosen(o, y[0], n));
  }

  template <class V>
  FOMAML_FAST_INLINE static void hessian_vector(const V* o, const V*, const V* ro, Index n, V* rd) {
    softmax_jacobian(o, ro, n, rd);
  }

 private:
  template <class V>
  FOMAML_FAST_INLINE static auto is_class(V label, Index j) {
    return label == broadcast<V>(static_cast<Element<V>>(j));
  }
  template <class V>
  FOMAML_FAST_INLINE static V chosen(const V* o, V label, Index n) {
    V found = o[0];
    for (Index j = 1; j < n; ++j) found = select(is_class(label, j), o[j], found);
    return found;
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::losses
