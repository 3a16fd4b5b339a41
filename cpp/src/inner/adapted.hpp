// What the inner loop changes, as an engine lays it out.
//
// A vector of parameters is `size` packs. In the reference engine a pack is one number; in Lanes it
// holds one number of several tasks; in Rows neighbouring numbers of one task. Only how numbers of
// one task are added up differs.
#pragma once

#include "kernels/compensated.hpp"
#include "kernels/math.hpp"

namespace FOMAML_FAST_NAMESPACE::inner {

/// A run of adapted parameters of one layer, in packs.
struct Segment {
  Index first = 0, last = 0;
  int layer = 0;
};

/// Learning rates: a table over steps and layers, or one for each parameter.
template <class T>
struct Rates {
  const T* table = nullptr;  ///< [rows, layers]; steps beyond the rows repeat the last
  Index rows = 1;
  Index layers = 0;
  const T* per_parameter = nullptr;  ///< instead of the table, in the engine's layout

  [[nodiscard]] Index place(int step, int layer) const {
    return (step < rows ? step : rows - 1) * layers + layer;
  }
};

template <class V>
struct Adapted {
  const Segment* segments = nullptr;
  int count = 0;
  Index size = 0;       ///< packs in a whole vector, adapted or not
  bool across = false;  ///< the lanes of a pack belong to one task
  Rates<Element<V>> rates;

  /// The rate of pack i: the same in all lanes, or one of each.
  FOMAML_FAST_INLINE V parameter_rate(Index i) const {
    if (!across) return broadcast<V>(rates.per_parameter[i]);
    return load<V>(rates.per_parameter + i * lanes());
  }
  /// The sum over a task's numbers, in every lane of the task, from the sum over its packs.
  [[nodiscard]] V over_task(V sum) const { return across ? sum_over_lanes(sum) : sum; }
  static constexpr Index lanes() {
    if constexpr (is_scalar_pack<V>) {
      return 1;
    } else {
      return kLanes<Element<V>>;
    }
  }

  /// Calls body(i) for every adapted pack.
  template <class Body>
  FOMAML_FAST_INLINE void for_each(Body&& body) const {
    for (int s = 0; s < count; ++s) {
      for (Index i = segments[s].first; i < segments[s].last; ++i) body(i);
    }
  }
  /// Sum of term(i) over a task's adapted parameters, as exact for 10^6 of them as for a few.
  template <class Term>
  FOMAML_FAST_INLINE V sum(const Term& term) const {
    constexpr Index kSums = 4;  // one would wait for itself
    CompensatedSum<V> total;
    for (int s = 0; s < count; ++s) {
      for (Index from = segments[s].first; from < segments[s].last; from += kSums * kBlockTerms) {
        V sums[kSums]{};
        Index i = from;
        const Index last = std::min(segments[s].last, from + kSums * kBlockTerms);
        for (; i + kSums <= last; i += kSums) {
          for (Index j = 0; j < kSums; ++j) sums[j] += term(i + j);
        }
        for (; i < last; ++i) sums[0] += term(i);
        total.add((sums[0] + sums[1]) + (sums[2] + sums[3]));
      }
    }
    return over_task(total.value());
  }
  /// The largest size among a task's adapted parameters, in every lane of the task.
  [[nodiscard]] V largest(const V* x) const {
    V most{};
    for_each([&](Index i) { most = max(most, math::abs(x[i])); });
    return across ? max_over_lanes(most) : most;
  }
  [[nodiscard]] V dot(const V* a, const V* b) const {
    return sum([&](Index i) { return a[i] * b[i]; });
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::inner
