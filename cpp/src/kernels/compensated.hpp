// Sums whose error does not grow with their length (Knuth's TwoSum; Ogita, Rump & Oishi 2005).
#pragma once

#include "kernels/simd.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// Branch-free compensated sum over packs; 10^5 terms lose no more than an ulp or two.
template <class V>
class CompensatedSum {
 public:
  FOMAML_FAST_INLINE void add(V x) {
    const V total = sum_ + x;
    const V x_seen = total - sum_;
    error_ += (sum_ - (total - x_seen)) + (x - x_seen);
    sum_ = total;
  }
  [[nodiscard]] FOMAML_FAST_INLINE V value() const {
    // A non-finite sum makes its own error NaN: inf - inf. Keep the sum, which says what happened.
    const V corrected = sum_ + error_;
    return select(corrected != corrected, sum_, corrected);
  }

 private:
  V sum_{};
  V error_{};
};

}  // namespace FOMAML_FAST_NAMESPACE
