// sin and cos of vector packs.
#pragma once

#include "kernels/float_bits.hpp"

namespace FOMAML_FAST_NAMESPACE::math {

namespace detail {

/// Constants of sin and cos for a format, |r| <= pi/4, z = r^2:
///   sin r = r + r z S(z)         S, C interpolate at the Chebyshev nodes (60 digits); the relative
///   cos r = 1 - z/2 + z^2 C(z)   errors are 2^-26.2 and 2^-30.1 (float), 2^-55.4 and 2^-59.5
/// pi/2 is split in three so that n times the first two parts is exact for |x| <= limit (Cody &
/// Waite 1980); the C library takes what lies beyond.
template <class T>
struct Sine;
template <>
struct Sine<float> {
  static constexpr double sine[] = {-0.166666641831398, 0.008332747966051102,
                                    -0.000195878412341699};
  static constexpr double cosine[] = {0.0416666641831398, -0.001388830249197781,
                                      2.454789137118496e-05};
  static constexpr double half_pi[] = {0x1.92p+0, 0x1.fb4p-12, 0x1.4442d2p-24};
  static constexpr double limit = 1e4;
};
template <>
struct Sine<double> {
  static constexpr double sine[] = {-0x1.5555555555555p-3,  0x1.1111111110bb1p-7,
                                    -0x1.a01a019e8357dp-13, 0x1.71de37961e4c6p-19,
                                    -0x1.ae600a926c89ap-26, 0x1.5e0af186af739p-33};
  static constexpr double cosine[] = {0x1.5555555555555p-5,  -0x1.6c16c16c16966p-10,
                                      0x1.a01a019f4e867p-16, -0x1.27e4fa17a41b4p-22,
                                      0x1.1eeb68b109173p-29, -0x1.907d7aebd5e3dp-37};
  static constexpr double half_pi[] = {0x1.921fb544p+0, 0x1.0b4611a6p-34, 0x1.3198a2e037073p-69};
  static constexpr double limit = 1e5;
};

/// Whether some lane is beyond the limit, or not finite.
template <class V>
FOMAML_FAST_INLINE bool any_far(V x) {
  using T = Element<V>;
  T lanes[kLanes<T>];
  store(lanes, magnitude(x));
  bool far = false;
  for (const T lane : lanes) far |= !(lane <= static_cast<T>(Sine<T>::limit));
  return far;
}

/// sin(x + quarters pi/2), x within the limit.
template <class V>
FOMAML_FAST_INLINE V sin_near(V x, unsigned quarters) {
  using T = Element<V>;
  using Word = typename Format<V>::Bits;
  constexpr double kTwoOverPi = 0.63661977236758134308;
  const V shifted = x * constant<V>(kTwoOverPi) + kRoundingShift<V>;
  const V n = shifted - kRoundingShift<V>;
  V r = x - n * constant<V>(Sine<T>::half_pi[0]);
  r = r - n * constant<V>(Sine<T>::half_pi[1]);
  r = r - n * constant<V>(Sine<T>::half_pi[2]);

  const V z = r * r;
  const V sine = r + r * z * polynomial(z, Sine<T>::sine);
  const V cosine = (constant<V>(1) - constant<V>(0.5) * z) + z * z * polynomial(z, Sine<T>::cosine);
  // n stands in the last bits of `shifted`, modulo 4 also where it is negative.
  const Bits<V> quadrant = to_bits(shifted) + static_cast<Word>(quarters);
  const V value = select((quadrant & Word{1}) != Word{0}, cosine, sine);
  return from_bits<V>(to_bits(value) ^ ((quadrant & Word{2}) << (8 * sizeof(T) - 2)));
}

/// sin or cos: the vector's own way, or the C library's for every lane.
template <class V, class Library>
FOMAML_FAST_INLINE V sin_or(V x, unsigned quarters, Library library) {
  using T = Element<V>;
  if (!any_far(x)) [[likely]]
    return sin_near(x, quarters);
  T lanes[kLanes<T>];
  store(lanes, x);
  for (T& lane : lanes) lane = library(lane);
  return load<V>(lanes);
}

}  // namespace detail

template <class V>
  requires(!is_scalar_pack<V>)
FOMAML_FAST_INLINE V sin(V x) {
  return detail::sin_or(x, 0, [](Element<V> lane) { return std::sin(lane); });
}

template <class V>
  requires(!is_scalar_pack<V>)
FOMAML_FAST_INLINE V cos(V x) {
  return detail::sin_or(x, 1, [](Element<V> lane) { return std::cos(lane); });
}

}  // namespace FOMAML_FAST_NAMESPACE::math
