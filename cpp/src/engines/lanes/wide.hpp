// Between packs of T and packs of float64, of which one of T fills as many as it has halves.
#pragma once

#include "engines/lanes/grid.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

using Wide = Vec<double>;

/// Packs of float64 in a pack of T.
template <class T>
inline constexpr int kHalves = kLanes<T> / kLanes<double>;

namespace detail {
template <class T>
struct HalfOf {
  using type __attribute__((vector_size(kLanes<double> * static_cast<int>(sizeof(T))),
                            aligned(alignof(T)), may_alias)) = T;
};
}  // namespace detail

/// Half `half` of a pack, and the way back.
template <class T>
FOMAML_FAST_INLINE Wide widen(const Vec<T>& pack, int half) {
  if constexpr (kHalves<T> == 1) {
    return pack;
  } else {
    const T* const lanes = reinterpret_cast<const T*>(&pack) + half * kLanes<double>;
    return __builtin_convertvector(
        *reinterpret_cast<const typename detail::HalfOf<T>::type*>(lanes), Wide);
  }
}
template <class T>
FOMAML_FAST_INLINE void narrow(Wide from, int half, Vec<T>& pack) {
  if constexpr (kHalves<T> == 1) {
    pack = from;
  } else {
    using Half = typename detail::HalfOf<T>::type;
    T* const lanes = reinterpret_cast<T*>(&pack) + half * kLanes<double>;
    *reinterpret_cast<Half*>(lanes) = __builtin_convertvector(from, Half);
  }
}

/// The same of matrices: `from`, whose rows are `from_stride` apart, to `grid` at `to`.
template <class T>
void widen(const Vec<T>* from, Index from_stride, int half, const Grid& grid, Wide* to) {
  for (Index row = 0; row < grid.rows; ++row, from += from_stride, to += grid.stride) {
    for (Index i = 0; i < grid.width; ++i) to[i] = widen<T>(from[i], half);
  }
}
template <class T>
void narrow(const Wide* from, Index from_stride, int half, const Grid& grid, Vec<T>* to) {
  for (Index row = 0; row < grid.rows; ++row, from += from_stride, to += grid.stride) {
    for (Index i = 0; i < grid.width; ++i) narrow<T>(from[i], half, to[i]);
  }
}

}  // namespace FOMAML_FAST_NAMESPACE::lanes
