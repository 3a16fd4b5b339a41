// One more row for a head in closed form, in O(m^2): the square root S of A^-1 = S S' is updated,
// so that A^-1 stays positive definite whatever is rounded (Potter 1963; Bierman 1977, chapter V).
#pragma once

#include <cmath>

#include "kernels/simd.hpp"

namespace FOMAML_FAST_NAMESPACE::inner {

template <class T>
T dot(Index count, const T* a, const T* b) {
  Vec<T> sum{};
  T rest = 0;
  for_packs<T>(count, [&]<class V>(V, Index i) {
    const V product = load<V>(a + i) * load<V>(b + i);
    if constexpr (is_scalar_pack<V>) {
      rest += product;
    } else {
      sum += product;
    }
  });
  return sum_over_lanes(sum)[0] + rest;
}

/// to += factor x
template <class T>
void add_scaled(Index count, T factor, const T* x, T* to) {
  for_packs<T>(count, [&]<class V>(V, Index i) {
    store(to + i, load<V>(to + i) + broadcast<V>(factor) * load<V>(x + i));
  });
}

/// f = S' phi, for S [m, m]; |f|^2 is the variance of phi w beside that of the noise.
template <class T>
T see(Index m, const T* root, const T* phi, T* f) {
  std::fill_n(f, m, T(0));
  for (Index i = 0; i < m; ++i) add_scaled(m, phi[i], root + i * m, f);
  return dot(m, f, f);
}

/// A row of weight c: w [m, stride] of outputs 0 … count-1 and S, in place; c = 0 leaves them. f
/// and gain are room for m numbers each.
/// False where a number overflows.
template <class T>
bool update_root(Index m, Index count, Index stride, const T* phi, const T* y, T c, T* root, T* w,
                 T* f, T* gain) {
  if (c == T(0)) return true;
  const T noise = T(1) / c, total = noise + see(m, root, phi, f);
  for (Index i = 0; i < m; ++i) gain[i] = dot(m, root + i * m, f);
  bool finite = total - total == T(0);
  const T shrink = T(1) / (total + std::sqrt(noise * total));
  for (Index i = 0; i < m; ++i) add_scaled(m, -shrink * gain[i], f, root + i * m);
  for (Index j = 0; j < count; ++j) {
    T error = y[j];
    for (Index i = 0; i < m; ++i) error -= phi[i] * w[i * stride + j];
    const T step = error / total;
    for (Index i = 0; i < m; ++i) w[i * stride + j] += step * gain[i];
    finite = finite && step - step == T(0);
  }
  return finite;
}

}  // namespace FOMAML_FAST_NAMESPACE::inner
