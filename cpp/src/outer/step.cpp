#include "outer/step.hpp"

#include <cmath>

namespace FOMAML_FAST_NAMESPACE {

namespace {

// torch.nn.utils.clip_grad_norm_ adds this to the norm it divides by.
constexpr double kClipEpsilon = 1e-6;

/// The sum of the squares of scale x.
template <class T>
double squares(const T* x, Index count, double scale) {
  // Independent partial sums, in a fixed order: fast, and as exact as double allows.
  constexpr Index kSums = 8;
  double sums[kSums] = {};
  for (Index i = 0; i < count; ++i) {
    const double value = scale * static_cast<double>(x[i]);
    sums[i % kSums] += value * value;
  }
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

/// ||x||, also where squares overflow or vanish.
template <class T>
double norm(const T* x, Index count) {
  constexpr double kSmall = 0x1p-900, kLarge = 0x1p1000;
  const double plain = squares(x, count, 1);
  if (plain > kSmall && plain < kLarge) return std::sqrt(plain);
  double largest = 0;
  for (Index i = 0; i < count; ++i) {
    largest = max(largest, std::abs(static_cast<double>(x[i])));  // NaN comes through
  }
  const double scale = math::power_of_two_against(largest);
  return std::sqrt(squares(x, count, scale)) / scale;
}

}  // namespace

template <class T>
double outer_step(const OuterSpec& spec, double lr, Index t, Index n_params, const T* theta,
                  const T* gradient, const T* moments, T* new_theta, T* new_moments) {
  const double length = norm(gradient, n_params);
  // In two factors, each a normal number: the first is exact.
  T shrink = 1, factor = 1;
  if (spec.clip_norm > 0 && length + kClipEpsilon > spec.clip_norm) {
    constexpr double kShrink = sizeof(T) == sizeof(float) ? 0x1p-64 : 0x1p-512;
    double exact = spec.clip_norm / (length + kClipEpsilon);
    if (exact < kShrink) {
      shrink = static_cast<T>(kShrink);
      exact /= kShrink;
    }
    factor = static_cast<T>(exact);
  }
  visit_outer(spec.id, [&]<class O>(O) {
    const auto coefficients = O::template prepare<T>(spec.parameters, lr, t);
    const int count = O::moments(spec.parameters);
    const auto element = [&]<class V>(V, Index i) {
      V state[outer::kMostMoments];
      for (int m = 0; m < count; ++m) state[m] = load<V>(moments + m * n_params + i);
      store<V>(new_theta + i, O::step(coefficients, load<V>(theta + i),
                                      load<V>(gradient + i) * shrink * factor, state));
      for (int m = 0; m < count; ++m) store<V>(new_moments + m * n_params + i, state[m]);
    };
    Index i = 0;
    for (; i + kLanes<T> <= n_params; i += kLanes<T>) element(Vec<T>{}, i);
    for (; i < n_params; ++i) element(T{}, i);
  });
  return length;
}

template double outer_step<float>(const OuterSpec&, double, Index, Index, const float*,
                                  const float*, const float*, float*, float*);
template double outer_step<double>(const OuterSpec&, double, Index, Index, const double*,
                                   const double*, const double*, double*, double*);

}  // namespace FOMAML_FAST_NAMESPACE
