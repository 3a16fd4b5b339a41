// exp and expm1 of vector packs.
#pragma once

#include "kernels/float_bits.hpp"
#include "kernels/math.hpp"

namespace FOMAML_FAST_NAMESPACE::math {

namespace detail {

/// Constants of exp for a format. `polynomial` is P in exp(f) = 1 + f + f^2 P(f) on
/// |f| <= ln(2)/2, a minimax fit of the relative error (Lawson's iteration, 50 digits): 2^-28.3
/// and 2^-58.0. ln(2) is split so that n * ln2_high is exact (Cody & Waite 1980, the constants of
/// Cephes). Beyond `low` and `high` results are 0 and infinity.
template <class T>
struct Exp;
template <>
struct Exp<float> {
  static constexpr double polynomial[] = {0.4999999403953552, 0.1666652113199234,
                                          0.04166838526725769, 0.008368716575205326,
                                          0.0013814675621688366};
  static constexpr double ln2_high = 0.693359375;
  static constexpr double ln2_low = -2.12194440e-4;
  static constexpr double low = -104, high = 89;
};
template <>
struct Exp<double> {
  static constexpr double polynomial[] = {
      0x1.000000000000ap-1,  0x1.55555555554fep-3,  0x1.5555555550892p-5,  0x1.1111111126912p-7,
      0x1.6c16c18427c50p-10, 0x1.a01a0130df71bp-13, 0x1.a0199a11b7d4fp-16, 0x1.71df16aea034cp-19,
      0x1.28ad6d313b054p-22, 0x1.ad966effa9535p-26};
  static constexpr double ln2_high = 6.93145751953125e-1;
  static constexpr double ln2_low = 1.42860682030941723212e-6;
  static constexpr double low = -746, high = 710;
};

/// exp(x) = 2^n (1 + q), |x| within Exp's limits.
template <class V>
struct SplitExp {
  V shifted;  ///< n + kRoundingShift: n stands in its last bits
  V q;
};
template <class V>
FOMAML_FAST_INLINE SplitExp<V> split_exp(V x) {
  using Constants = Exp<Element<V>>;
  constexpr double kLog2e = 1.44269504088896340736;
  const V shifted = x * constant<V>(kLog2e) + kRoundingShift<V>;
  const V n = shifted - kRoundingShift<V>;
  const V f = (x - n * constant<V>(Constants::ln2_high)) - n * constant<V>(Constants::ln2_low);
  return {shifted, f * f * polynomial(f, Constants::polynomial) + f};
}

}  // namespace detail

namespace detail {

/// 2^n in two factors, each a normal number, so that denormal results and 2^128 come out right.
template <class V>
struct PowerOfTwo {
  V first, second;

  FOMAML_FAST_INLINE explicit PowerOfTwo(V shifted) {
    using Word = typename Format<V>::Bits;
    // Both halves carry the exponent bias: n + 2 bias = first + second.
    constexpr Word kOrigin = std::bit_cast<Word>(kRoundingShift<V>) - 2 * Format<V>::bias;
    const Bits<V> biased = to_bits(shifted) - kOrigin;
    const Bits<V> half = biased >> 1;
    first = from_bits<V>(half << Format<V>::mantissa_bits);
    second = from_bits<V>((biased - half) << Format<V>::mantissa_bits);
  }
};

}  // namespace detail

template <class V>
  requires(!is_scalar_pack<V>)
FOMAML_FAST_INLINE V exp(V x) {
  using namespace detail;
  using Constants = Exp<Element<V>>;
  const SplitExp<V> split = split_exp(limited(x, Constants::low, Constants::high));
  const PowerOfTwo<V> power(split.shifted);
  return (split.q + constant<V>(1)) * power.first * power.second;
}

/// exp(x) - 1 = 2^n q + (2^n - 1), which loses nothing near 0: n is 0 there. Where the 1 is lost
/// to rounding it is exp(x), and 2^n may overflow before that does.
template <class V>
  requires(!is_scalar_pack<V>)
FOMAML_FAST_INLINE V expm1(V x) {
  using namespace detail;
  using Constants = Exp<Element<V>>;
  constexpr double kOneIsLost = 40;
  const SplitExp<V> split = split_exp(limited(x, Constants::low, Constants::high));
  const PowerOfTwo<V> power(split.shifted);
  const V one = constant<V>(1), whole = power.first * power.second;
  const V large = (split.q + one) * power.first * power.second;
  return select(x > constant<V>(kOneIsLost), large, split.q * whole + (whole - one));
}

}  // namespace FOMAML_FAST_NAMESPACE::math
