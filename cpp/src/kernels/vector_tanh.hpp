// tanh of vector packs.
#pragma once

#include "kernels/vector_exp.hpp"

namespace FOMAML_FAST_NAMESPACE::math {

namespace detail {

/// x P(z)/Q(z), z = x^2, degrees 9/8, a minimax fit of the relative error on |x| <= 9 (Lawson's
/// iteration around the linearised problem, 40 digits): 2^-25.5. Beyond 9, where tanh rounds to 1,
/// z stands still, the quotient grows past 1 with |x|, and the limit makes it 1.
template <class V>
FOMAML_FAST_INLINE V tanh_rational(V x) {
  static constexpr double kP[] = {1.0, 0.1338110864162445, 0.0034956836607307196,
                                  2.0610546926036477e-05, 1.3356491912475121e-08};
  static constexpr double kQ[] = {1.0, 0.467144250869751, 0.02587735280394554,
                                  0.0003285786369815469, 7.777349537718692e-07};
  constexpr double kSaturated = 81;
  const V size = magnitude(x), z = at_most(x * x, kSaturated);
  const V h = size * polynomial(z, kP) / polynomial(z, kQ);
  return with_sign_of(unless_nan(at_most(h, 1), size), x);
}

/// e/(e + 2) with e = exp(2|x|) - 1 = 2^n q + (2^n - 1), which loses nothing near 0: n is 0 there.
template <class V>
FOMAML_FAST_INLINE V tanh_exponential(V x) {
  constexpr double kSaturated = 40;  // 2|x|, beyond which tanh rounds to 1
  constexpr int kMantissa = Format<V>::mantissa_bits;
  const V twice = magnitude(x + x);
  const SplitExp<V> split =
      split_exp(select(twice > constant<V>(kSaturated), constant<V>(kSaturated), twice));
  // Shifting leaves n alone of `shifted`, in the place of the exponent.
  const V power = from_bits<V>((to_bits(split.shifted) << kMantissa) + to_bits(constant<V>(1)));
  const V e = split.q * power + (power - constant<V>(1));
  return with_sign_of(e / (e + constant<V>(2)), x);
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
