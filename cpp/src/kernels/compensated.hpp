// Sums whose error does not grow with their length (Kahan 1965, with Knuth's TwoSum).
#pragma once

#include "kernels/simd.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// Branch-free compensated sum over packs; 10^5 terms lose no more than an ulp or two.
template <class V>
class CompensatedSum {
 public:
  FOMAML_FAST_INLINE void add(V x) {
    const V corrected = x + error_;
    const V total = sum_ + corrected;
    const V seen = total - sum_;
    error_ = (sum_ - (total - seen)) + (corrected - seen);
    sum_ = total;
  }
  [[nodiscard]] FOMAML_FAST_INLINE V value() const { return sum_; }

 private:
  V sum_{};
  V error_{};
};

}  // namespace FOMAML_FAST_NAMESPACE
