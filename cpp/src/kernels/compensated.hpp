// Sums whose error does not grow with their length (Kahan 1965, with Knuth's TwoSum).
//
// One promise for every sum over rows, tasks or parameters: as exact for 10^6 terms as for a few.
// Few terms are added one after another. More are cut into blocks, each added up from 0, and the
// blocks' sums are added with their rounding errors made good.
#pragma once

#include <algorithm>

#include "kernels/simd.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// So many terms are few: one after another they lose an ulp or two.
inline constexpr Index kFewTerms = 80;
/// Terms of a longer sum that are added up from 0: also where all are equal, and every addition
/// rounds the same way, they lose no more than some ulps.
inline constexpr Index kBlockTerms = 16;

/// sum += x; what that loses is kept in `error`, and added to the next x. Free of branches.
template <class V>
FOMAML_FAST_INLINE void add_compensated(V x, V& sum, V& error) {
  const V corrected = x + error;
  const V total = sum + corrected;
  const V seen = total - sum;
  error = (sum - (total - seen)) + (corrected - seen);
  sum = total;
}

/// 10^5 terms lose no more than an ulp or two.
template <class V>
class CompensatedSum {
 public:
  FOMAML_FAST_INLINE void add(V x) { add_compensated(x, sum_, error_); }
  [[nodiscard]] FOMAML_FAST_INLINE V value() const { return sum_; }

 private:
  V sum_{};
  V error_{};
};

/// term(0) + … + term(count - 1), one after another if there are `few`.
template <class V, class Term>
FOMAML_FAST_INLINE V sum_of(Index count, const Term& term, Index few = kFewTerms) {
  if (count <= few) {
    V sum{};
    for (Index i = 0; i < count; ++i) sum += term(i);
    return sum;
  }
  CompensatedSum<V> total;
  for (Index first = 0; first < count; first += kBlockTerms) {
    V sum{};
    const Index last = std::min(count, first + kBlockTerms);
    for (Index i = first; i < last; ++i) sum += term(i);
    total.add(sum);
  }
  return total.value();
}

/// sum[i] += scale * x[i] for whole vectors of numbers, or of packs, compensated as above.
template <class V>
void add_compensated(const V* x, Index count, V scale, V* sum, V* error) {
  for (Index i = 0; i < count; ++i) add_compensated<V>(scale * x[i], sum[i], error[i]);
}

}  // namespace FOMAML_FAST_NAMESPACE
