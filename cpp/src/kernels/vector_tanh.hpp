// tanh of vector packs.
#pragma once

#include "kernels/vector_exp.hpp"

namespace FOMAML_FAST_NAMESPACE::math {

namespace detail {

/// x P(z)/Q(z), z = x^2, degrees 9/8, a minimax fit of the relative error on |x| <= 9 (Lawson's
/// iteration around the linearised problem, 40 digits): 2^-25.5. Beyond 9, where tanh rounds to 1, z
/// stands still, the quotient grows past 1 with x, and the limit makes it 1.
template <class V>
FOMAML_FAST_INLINE V tanh_rational(V x) {
  static constexpr double kP[] = {1.0, 0.1338110864162445, 0.0034956836607307196,
                                  2.0610546926036477e-05, 1.3356491912475121e-08};
  static constexpr double kQ[] = {1.0, 0.467144250869751, 0.02587735280394554,
                                  0.0003285786369815469, 7.777349537718692e-07};
  constexpr double kSaturated = 81;
  const V square = x * x;
  const V z = select(square > constant<V>(kSaturated), constant<V>(kSaturated), square);
  const V h = x * polynomial(z, kP) / polynomial(z, kQ);
  return limited(h, -1, 1);
}

/// Below 0.625 x + x z P(z)/Q(z), z = x^2 (the rational of Cephes' tanh.c), above it
/// 1 - 2/(e^2x + 1): one division serves both.
template <class V>
FOMAML_FAST_INLINE V tanh_exponential(V x) {
  static constexpr double kP[] = {-1.61468768441708447952e3, -9.92877231001918586564e1,
                                  -9.64399179425052238628e-1};
  static constexpr double kQ[] = {4.84406305325125486048e3, 2.23548839060100448583e3,
                                  1.12811678491632931402e2, 1.0};
  const V one = constant<V>(1);
  const V a = magnitude(x);
  const V z = a * a;
  const auto small = a < constant<V>(0.625);
  const V numerator = select(small, a * z * polynomial(z, kP), constant<V>(-2));
  const V denominator = select(small, polynomial(z, kQ), exp(a + a) + one);
  return with_sign_of(select(small, a, one) + numerator / denominator, x);
}

}  // namespace detail

template <class V>
  requires(!is_scalar_pack<V>)
FOMAML_FAST_INLINE V tanh(V x) {
  if constexpr (std::is_same_v<Element<V>, float>) {
    return detail::tanh_rational(x);
  } else {
    return detail::tanh_exponential(x);
  }
}

}  // namespace FOMAML_FAST_NAMESPACE::math
