#pragma once

#include "losses/loss.hpp"

namespace FOMAML_FAST_NAMESPACE::losses {

/// Shifts the exponentials of a row so that they cannot overflow.
template <class V>
FOMAML_FAST_INLINE V largest(const V* o, Index n) {
  V top = o[0];
  for (Index j = 1; j < n; ++j) top = select(o[j] > top, o[j], top);
  return top;
}

/// Writes the softmax and returns the sum of the shifted exponentials.
template <class V>
FOMAML_FAST_INLINE V softmax(const V* o, V shift, Index n, V* s) {
  const V sum = sum_of<V>(n, [&](Index j) { return s[j] = math::exp(o[j] - shift); });
  const V scale = broadcast<V>(1) / sum;
  for (Index j = 0; j < n; ++j) s[j] *= scale;
  return sum;
}

/// rd = (diag(s) - s s') ro with s = softmax(o).
template <class V>
FOMAML_FAST_INLINE void softmax_jacobian(const V* o, const V* ro, Index n, V* rd) {
  softmax(o, largest(o, n), n, rd);
  const V mean = sum_of<V>(n, [&](Index j) { return rd[j] * ro[j]; });
  for (Index j = 0; j < n; ++j) rd[j] *= ro[j] - mean;
}

}  // namespace FOMAML_FAST_NAMESPACE::losses
