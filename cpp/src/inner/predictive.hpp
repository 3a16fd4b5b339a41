// The predictive distribution of one target behind a head in closed form, and its loss.
#pragma once

#include <numbers>

#include "kernels/math.hpp"

namespace FOMAML_FAST_NAMESPACE::inner {

/// Negative log-likelihood of y, of mean `o` and variance s^2 (1 + v):
/// ((y - o)^2 / variance + log variance + log 2 pi) / 2; with its derivatives.
template <class V>
struct Predictive {
  V value, by_mean, by_v, by_log_noise;

  Predictive(V o, V y, V v, V noise_variance) {
    const V one = broadcast<V>(1), half = broadcast<V>(Element<V>(0.5));
    const V spread = one + v, variance = noise_variance * spread, e = o - y;
    const V square = e * e / variance, rest = one - square;
    value = half * (square + math::log(variance) + constant<V>(std::log(2 * std::numbers::pi)));
    by_mean = e / variance;
    by_v = half * rest / spread;
    by_log_noise = rest;
  }
};

/// The distribution's standard deviation, s being that of the noise.
template <class V>
V deviation(V s, V v) {
  return s * math::sqrt(broadcast<V>(1) + v);
}

}  // namespace FOMAML_FAST_NAMESPACE::inner
