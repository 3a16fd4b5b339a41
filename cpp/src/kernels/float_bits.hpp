// IEEE 754 fields of packs, and polynomials in them: the ground of the vector elementary functions.
#pragma once

#include <bit>
#include <limits>

#include "kernels/simd.hpp"

namespace FOMAML_FAST_NAMESPACE::math::detail {

/// Bits are unsigned, because arithmetic with the bits of a NaN may overflow and has to wrap.
template <class T>
struct FloatFormat;
template <>
struct FloatFormat<float> {
  using Bits = std::uint32_t;
  using BitsVector __attribute__((vector_size(kVectorBytes))) = Bits;
  static constexpr int mantissa_bits = 23;
  static constexpr int bias = 127;
};
template <>
struct FloatFormat<double> {
  using Bits = std::uint64_t;
  using BitsVector __attribute__((vector_size(kVectorBytes))) = Bits;
  static constexpr int mantissa_bits = 52;
  static constexpr int bias = 1023;
};

template <class V>
using Format = FloatFormat<Element<V>>;
template <class V>
using Bits = typename Format<V>::BitsVector;

// A cast between vectors of one size keeps the bits.
template <class V>
FOMAML_FAST_INLINE Bits<V> to_bits(V x) {
  return (Bits<V>)x;
}
template <class V>
FOMAML_FAST_INLINE V from_bits(Bits<V> x) {
  return (V)x;
}

/// Added to a small number, its last mantissa bits become that number rounded to an integer.
template <class V>
inline constexpr Element<V> kRoundingShift =
    Element<V>(1.5) * static_cast<Element<V>>(std::int64_t{1} << Format<V>::mantissa_bits);

/// c[0] + c[1] x + …, by Horner's rule.
template <class V, std::size_t n>
FOMAML_FAST_INLINE V polynomial(V x, const double (&c)[n]) {
  V sum = constant<V>(c[n - 1]);
  for (std::size_t i = n - 1; i-- > 0;) sum = sum * x + constant<V>(c[i]);
  return sum;
}

template <class V>
inline constexpr typename Format<V>::Bits kSignBit =
    typename Format<V>::Bits{1} << (8 * sizeof(Element<V>) - 1);

/// |x|, and `magnitude` (not negative) with the sign of `sign`.
template <class V>
FOMAML_FAST_INLINE V magnitude(V x) {
  return from_bits<V>(to_bits(x) & ~kSignBit<V>);
}
template <class V>
FOMAML_FAST_INLINE V with_sign_of(V magnitude, V sign) {
  return from_bits<V>(to_bits(magnitude) | (to_bits(sign) & kSignBit<V>));
}

/// The lesser of x and a bound >= 0, x having no sign. Integers keep the order of such numbers, and
/// comparing them takes no turns with multiply-adds, as comparing floats does. NaN counts as large.
template <class V>
FOMAML_FAST_INLINE V at_most(V x, double bound) {
  const Bits<V> bits = to_bits(x), most = to_bits(constant<V>(bound));
  return from_bits<V>(bits < most ? bits : most);
}
/// `magnitude`, or NaN where the size |x| is NaN.
template <class V>
FOMAML_FAST_INLINE V unless_nan(V magnitude, V size) {
  const Bits<V> infinity = to_bits(constant<V>(std::numeric_limits<double>::infinity()));
  return from_bits<V>(to_bits(magnitude) | (Bits<V>)(to_bits(size) > infinity));
}

}  // namespace FOMAML_FAST_NAMESPACE::math::detail
