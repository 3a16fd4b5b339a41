// Elementary functions of packs. Scalars use the C library; vectors use vector_math.hpp.
#pragma once

#include <cmath>
#include <limits>

#include "kernels/simd.hpp"

namespace FOMAML_FAST_NAMESPACE::math {

template <class T>
  requires is_scalar_pack<T>
inline T exp(T x) {
  return std::exp(x);
}
template <class T>
  requires is_scalar_pack<T>
inline T expm1(T x) {
  return std::expm1(x);
}
template <class T>
  requires is_scalar_pack<T>
inline T log(T x) {
  return std::log(x);
}
template <class T>
  requires is_scalar_pack<T>
inline T log1p(T x) {
  return std::log1p(x);
}
template <class T>
  requires is_scalar_pack<T>
inline T tanh(T x) {
  return std::tanh(x);
}
template <class T>
  requires is_scalar_pack<T>
inline T sin(T x) {
  return std::sin(x);
}
template <class T>
  requires is_scalar_pack<T>
inline T cos(T x) {
  return std::cos(x);
}
template <class T>
  requires is_scalar_pack<T>
inline T sqrt(T x) {
  return std::sqrt(x);
}

template <class V>
FOMAML_FAST_INLINE V abs(V x) {
  return select(x < broadcast<V>(0), -x, x);
}

/// x limited to [low, high]; a NaN comes through, every comparison with it being false.
template <class V>
FOMAML_FAST_INLINE V limited(V x, double low, double high) {
  const V least = broadcast<V>(static_cast<Element<V>>(low));
  const V most = broadcast<V>(static_cast<Element<V>>(high));
  const V not_above = select(x > most, most, x);
  return select(not_above < least, least, not_above);
}

/// Whether x is finite in all lanes.
template <class V>
bool all_lanes_finite(V x) {
  const V defect = x - x;
  if constexpr (is_scalar_pack<V>) {
    return defect == 0;
  } else {
    return sum_over_lanes(defect)[0] == 0;
  }
}

/// In every lane a power of two that brings x > 0 close to 1; 1 where x is 0 or not finite. Scaled
/// by it, numbers of x's size can be squared.
template <class V>
V power_of_two_against(V x) {
  using T = Element<V>;
  constexpr int kMost = std::numeric_limits<T>::max_exponent - 2;
  const auto of_lane = [](T size) {
    if (!(size > 0) || !(size - size == 0)) return T(1);
    const int exponent = std::ilogb(size);
    return std::ldexp(T(1), exponent > kMost ? -kMost : exponent < -kMost ? kMost : -exponent);
  };
  if constexpr (is_scalar_pack<V>) {
    return of_lane(x);
  } else {
    for (int lane = 0; lane < kLanes<T>; ++lane) x[lane] = of_lane(x[lane]);
    return x;
  }
}

}  // namespace FOMAML_FAST_NAMESPACE::math
