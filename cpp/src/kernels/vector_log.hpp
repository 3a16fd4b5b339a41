// log and log1p of vector packs.
#pragma once

#include "kernels/float_bits.hpp"

namespace FOMAML_FAST_NAMESPACE::math {

namespace detail {

/// log(1 + f) = f - f^2/2 + s (f^2/2 + R(s^2)), s = f/(2 + f), z R's coefficients and the split of
/// ln(2) being those of FreeBSD's msun (e_logf.c, e_log.c; Sun Microsystems 1993).
template <class T>
struct Log;
template <>
struct Log<float> {
  static constexpr double series[] = {0.66666662693, 0.40000972152, 0.28498786688, 0.24279078841};
  static constexpr double ln2_high = 6.9313812256e-01, ln2_low = 9.0580006145e-06;
};
template <>
struct Log<double> {
  static constexpr double series[] = {6.666666666666735130e-01, 3.999999999940941908e-01,
                                      2.857142874366239149e-01, 2.222219843214978396e-01,
                                      1.818357216161805012e-01, 1.531383769920937332e-01,
                                      1.479819860511658591e-01};
  static constexpr double ln2_high = 6.93147180369123816490e-01;
  static constexpr double ln2_low = 1.90821492927058770002e-10;
};

/// log(x) + correction for x > 0 and a correction far smaller than x; x may be denormal.
/// `log_special` handles x <= 0 and infinities.
template <class V>
FOMAML_FAST_INLINE V log_positive(V x, V correction) {
  using T = Element<V>;
  using Word = typename Format<V>::Bits;
  constexpr int kMantissa = Format<V>::mantissa_bits;
  constexpr T kScale = static_cast<T>(std::int64_t{1} << kMantissa);

  const auto denormal = x < broadcast<V>(std::numeric_limits<T>::min());
  x = select(denormal, x * kScale, x);

  // x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)): adding this offset carries into the
  // exponent exactly where the mantissa is sqrt(2) or more.
  constexpr Word kOne = std::bit_cast<Word>(T(1));
  constexpr Word kOffset = kOne - std::bit_cast<Word>(static_cast<T>(0.70710678118654752440));
  const Bits<V> moved = to_bits(x) + kOffset;
  constexpr Word kMantissaMask = (Word{1} << kMantissa) - 1;
  const V f = from_bits<V>((moved & kMantissaMask) + (kOne - kOffset)) - constant<V>(1);
  // The biased exponent read as the mantissa of 2^mantissa_bits: integer to float without a cast.
  const Bits<V> biased = moved >> kMantissa;
  const V k = from_bits<V>(biased | std::bit_cast<Word>(kScale)) -
              select(denormal, constant<V>(double(kScale) + Format<V>::bias + kMantissa),
                     constant<V>(double(kScale) + Format<V>::bias));

  const V s = f / (constant<V>(2) + f);
  const V z = s * s;
  const V half_square = constant<V>(0.5) * f * f;
  const V r = z * polynomial(z, Log<T>::series);
  const V low = s * (half_square + r) + (k * constant<V>(Log<T>::ln2_low) + correction);
  return k * constant<V>(Log<T>::ln2_high) - ((half_square - low) - f);
}

/// `value`, but log's limits where x is 0, negative, infinite or NaN.
template <class V>
FOMAML_FAST_INLINE V log_special(V x, V value) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  value = select(x < constant<V>(kInfinity), value, x);
  value = select(x == constant<V>(0), constant<V>(-kInfinity), value);
  return select(x < constant<V>(0), constant<V>(std::numeric_limits<double>::quiet_NaN()), value);
}

}  // namespace detail

template <class V>
  requires(!is_scalar_pack<V>)
FOMAML_FAST_INLINE V log(V x) {
  return detail::log_special(x, detail::log_positive(x, V{}));
}

/// log(1 + x) with the rounding of 1 + x made good by a first-order correction.
template <class V>
  requires(!is_scalar_pack<V>)
FOMAML_FAST_INLINE V log1p(V x) {
  const V one = broadcast<V>(1);
  const V u = one + x;
  const V lost = select(x > one, one - (u - x), x - (u - one));
  return detail::log_special(u, detail::log_positive(u, lost / u));
}

}  // namespace FOMAML_FAST_NAMESPACE::math
