// Finds numbers that are not finite.
#pragma once

#include "base/config.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// True if every one of `count` numbers is finite. x - x is 0 for finite x, NaN otherwise.
template <class T>
bool all_finite(const T* x, Index count) {
  // Independent sums, which the compiler turns into vectors.
  constexpr Index kSums = 32;
  if (count < kSums) {
    T defect = 0;
    for (Index i = 0; i < count; ++i) defect += x[i] - x[i];
    return defect == T(0);
  }
  T defects[kSums];
  const auto look = [&defects](const T* part, bool first) {
    for (Index j = 0; j < kSums; ++j)
      defects[j] = (first ? T(0) : defects[j]) + (part[j] - part[j]);
  };
  look(x + count - kSums, true);  // whatever remains of the whole stretches below
  for (Index i = 0; i + kSums < count; i += kSums) look(x + i, false);
#pragma GCC unroll 8
  for (Index half = kSums / 2; half > 0; half /= 2) {
    for (Index j = 0; j < half; ++j) defects[j] += defects[j + half];
  }
  return defects[0] == T(0);
}

/// 0 in the lanes of packs x whose numbers are all finite, NaN in the others.
template <class V>
V defect_of(const V* x, Index count) {
  // Four sums: the additions of a single sum would wait for each other.
  V defect[4]{};
  Index i = 0;
  for (; i + 4 <= count; i += 4) {
    for (Index j = 0; j < 4; ++j) defect[j] += x[i + j] - x[i + j];
  }
  for (; i < count; ++i) defect[0] += x[i] - x[i];
  return (defect[0] + defect[1]) + (defect[2] + defect[3]);
}

/// Index of the first number that is not finite, or -1.
template <class T>
Index first_non_finite(const T* x, Index count) {
  constexpr Index kChunk = 4096;
  for (Index start = 0; start < count; start += kChunk) {
    const Index length = count - start < kChunk ? count - start : kChunk;
    if (all_finite(x + start, length)) continue;
    for (Index i = 0; i < length; ++i) {
      if (!(x[start + i] - x[start + i] == T(0))) return start + i;
    }
  }
  return -1;
}

}  // namespace FOMAML_FAST_NAMESPACE
