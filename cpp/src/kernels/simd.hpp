// Packs: the value type that formulas are written for.
//
// A pack is either a scalar (float, double) or a vector of as many as the ISA's register holds.
// Activations, losses and optimisers are templates over a pack, so that each formula exists once.
// GCC vector extensions only: the compiler chooses the instructions.
#pragma once

#include <cmath>
#include <type_traits>

#include "base/config.hpp"

namespace FOMAML_FAST_NAMESPACE {

// The register file that kernels are shaped for: the ISA's, unless a developer asks for another to
// run another processor's code here. The compiler then splits every vector.
#if defined(FOMAML_FAST_VECTOR_BYTES)
inline constexpr int kVectorBytes = FOMAML_FAST_VECTOR_BYTES;
inline constexpr int kVectorRegisters = FOMAML_FAST_VECTOR_REGISTERS;
#elif defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
inline constexpr int kVectorRegisters = 32;
#elif defined(__AVX__)
inline constexpr int kVectorBytes = 32;
inline constexpr int kVectorRegisters = 16;
#else
inline constexpr int kVectorBytes = 16;
#if defined(__aarch64__)
inline constexpr int kVectorRegisters = 32;
#else
inline constexpr int kVectorRegisters = 16;
#endif
#endif

namespace detail {
template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
  using type __attribute__((vector_size(kVectorBytes))) = float;
  using bits __attribute__((vector_size(kVectorBytes))) = std::int32_t;
  using unaligned __attribute__((vector_size(kVectorBytes), aligned(4), may_alias)) = float;
};
template <>
struct VectorOf<double> {
  using type __attribute__((vector_size(kVectorBytes))) = double;
  using bits __attribute__((vector_size(kVectorBytes))) = std::int64_t;
  using unaligned __attribute__((vector_size(kVectorBytes), aligned(8), may_alias)) = double;
};
template <class V>
struct ElementOf;
template <>
struct ElementOf<float> {
  using type = float;
};
template <>
struct ElementOf<double> {
  using type = double;
};
template <>
struct ElementOf<VectorOf<float>::type> {
  using type = float;
};
template <>
struct ElementOf<VectorOf<double>::type> {
  using type = double;
};
}  // namespace detail

/// The ISA's full register of T.
template <class T>
using Vec = typename detail::VectorOf<T>::type;
/// The integer register of the same shape: masks and exponents.
template <class T>
using VecBits = typename detail::VectorOf<T>::bits;
/// The scalar type of a pack.
template <class V>
using Element = typename detail::ElementOf<V>::type;

template <class T>
inline constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));
template <class V>
inline constexpr bool is_scalar_pack = std::is_floating_point_v<V>;

template <class V>
FOMAML_FAST_INLINE V broadcast(Element<V> x) {
  if constexpr (is_scalar_pack<V>) {
    return x;
  } else {
    return x - V{};  // exact for every x, so it folds away; 0 + x would not, for -0
  }
}

/// A number that is rounded to the precision of V.
template <class V>
FOMAML_FAST_INLINE V constant(double x) {
  return broadcast<V>(static_cast<Element<V>>(x));
}

template <class V>
FOMAML_FAST_INLINE V load(const Element<V>* p) {
  if constexpr (is_scalar_pack<V>) {
    return *p;
  } else {
    return *reinterpret_cast<const typename detail::VectorOf<Element<V>>::unaligned*>(p);
  }
}

template <class V>
FOMAML_FAST_INLINE void store(Element<V>* p, V v) {
  if constexpr (is_scalar_pack<V>) {
    *p = v;
  } else {
    *reinterpret_cast<typename detail::VectorOf<Element<V>>::unaligned*>(p) = v;
  }
}

/// Calls body(pack, i) for all numbers i < count, a register at a time and the last ones alone. The
/// pack says of which kind they are.
template <class T, class Body>
FOMAML_FAST_INLINE void for_packs(Index count, Body&& body) {
  Index i = 0;
  for (; i + kLanes<T> <= count; i += kLanes<T>) body(Vec<T>{}, i);
  for (; i < count; ++i) body(T{}, i);
}

/// The sum of a pack's lanes, in their order, in every lane.
template <class V>
FOMAML_FAST_INLINE V sum_over_lanes(V v) {
  if constexpr (is_scalar_pack<V>) {
    return v;
  } else {
    Element<V> total = 0;
    for (int lane = 0; lane < kLanes<Element<V>>; ++lane) total += v[lane];
    return broadcast<V>(total);
  }
}

/// `mask ? a : b`, the mask being the result of a comparison of packs.
template <class M, class V>
FOMAML_FAST_INLINE V select(M mask, V a, V b) {
  return mask ? a : b;
}

// max, min: NaN in either place gives NaN (`b` is returned unless `a` wins, and the order of the
// tests keeps a NaN `b`); one more comparison keeps a NaN `a`.
template <class V>
FOMAML_FAST_INLINE V max(V a, V b) {
  const V larger = select(a > b, a, b);
  return select(a != a, a, larger);
}
template <class V>
FOMAML_FAST_INLINE V min(V a, V b) {
  const V smaller = select(a < b, a, b);
  return select(a != a, a, smaller);
}

/// The largest lane in every lane, or NaN if one is.
template <class V>
FOMAML_FAST_INLINE V max_over_lanes(V v) {
  if constexpr (is_scalar_pack<V>) {
    return v;
  } else {
    Element<V> most = v[0];
    for (int lane = 1; lane < kLanes<Element<V>>; ++lane) most = max<Element<V>>(most, v[lane]);
    return broadcast<V>(most);
  }
}

}  // namespace FOMAML_FAST_NAMESPACE
