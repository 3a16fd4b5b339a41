// Elementary functions of packs. Scalars use the C library; vectors use vector_math.hpp.
#pragma once

#include <cmath>

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

}  // namespace FOMAML_FAST_NAMESPACE::math
