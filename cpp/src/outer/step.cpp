#include "outer/step.hpp"

#include <algorithm>
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

template <class T>
double squares(const T* x, const OuterParts& parts, double scale) {
  double sum = 0;
  for (const OuterPart& part : parts) {
    if (part.moves) sum += squares(x + part.first, part.end - part.first, scale);
  }
  return sum;
}

/// ||x|| of what moves, also where squares overflow or vanish.
template <class T>
double norm(const T* x, const OuterParts& parts) {
  constexpr double kSmall = 0x1p-900, kLarge = 0x1p1000;
  const double plain = squares(x, parts, 1);
  if (plain > kSmall && plain < kLarge) return std::sqrt(plain);
  double largest = 0;
  for (const OuterPart& part : parts) {
    for (Index i = part.first; part.moves && i < part.end; ++i) {
      largest = max(largest, std::abs(static_cast<double>(x[i])));  // NaN comes through
    }
  }
  const double scale = math::power_of_two_against(largest);
  return std::sqrt(squares(x, parts, scale)) / scale;
}

}  // namespace

template <class T>
double outer_step(const OuterSpec& spec, const OuterParts& parts, Index t, const T* theta,
                  const T* gradient, const T* moments, T* new_theta, T* new_moments) {
  const double length = norm(gradient, parts);
  const Index n_params = parts.size();
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
    const int count = O::moments(spec.parameters);
    for (const OuterPart& part : parts) {
      if (!part.moves) {
        const Index size = part.end - part.first;
        if (new_theta != theta) std::copy_n(theta + part.first, size, new_theta + part.first);
        for (int m = 0; m < count && new_moments != moments; ++m) {
          const Index first = m * n_params + part.first;
          std::copy_n(moments + first, size, new_moments + first);
        }
        continue;
      }
      const auto coefficients = O::template prepare<T>(spec.parameters, part.lr, t);
      const auto element = [&]<class V>(V, Index i) {
        V state[outer::kMostMoments] = {};
        for (int m = 0; m < count; ++m) state[m] = load<V>(moments + m * n_params + i);
        store<V>(new_theta + i, O::step(coefficients, load<V>(theta + i),
                                        load<V>(gradient + i) * shrink * factor, state));
        for (int m = 0; m < count; ++m) store<V>(new_moments + m * n_params + i, state[m]);
      };
      Index i = part.first;
      for (; i + kLanes<T> <= part.end; i += kLanes<T>) element(Vec<T>{}, i);
      for (; i < part.end; ++i) element(T{}, i);
    }
  });
  return length;
}

template double outer_step<float>(const OuterSpec&, const OuterParts&, Index, const float*,
                                  const float*, const float*, float*, float*);
template double outer_step<double>(const OuterSpec&, const OuterParts&, Index, const double*,
                                   const double*, const double*, double*, double*);

}  // namespace FOMAML_FAST_NAMESPACE
