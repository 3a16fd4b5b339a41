// The loss of the query under heads' predictive distributions, for one group of tasks.
#pragma once

#include "engines/lanes/head_numbers.hpp"
#include "inner/predictive.hpp"
#include "kernels/vector_math.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

/// Where gradients go: on the means o [rows, n], on v as it lies (added up over outputs that share
/// it), and on the logarithms of the noise [n].
template <class V>
struct PredictiveGradients {
  V* o = nullptr;  ///< null: none is wanted
  V *v = nullptr, *log_noise = nullptr;
};

/// Sum over the rows of the mean over their outputs, with the rows' coefficients. v of row i and
/// output j stands at v[i], or v[j * rows + i] if `per_output`. What has coefficient 0 adds
/// nothing, not even a NaN.
template <class T>
Vec<T> predictive_loss(const HeadNumbers<T>& numbers, const LaneRows<T>& rows, const Vec<T>* o,
                       const Vec<T>* v, bool per_output, const PredictiveGradients<Vec<T>>& to) {
  using V = Vec<T>;
  const Index n = numbers.outputs(), count = rows.rows;
  const V share = broadcast<V>(rows.per_output ? T(1) : T(1) / static_cast<T>(n));
  CompensatedSum<V> total;
  if (to.o != nullptr) {
    std::fill_n(to.v, per_output ? n * count : count, V{});
    std::fill_n(to.log_noise, n, V{});
  }
  for (Index i = 0; i < count; ++i) {
    for (Index j = 0; j < n; ++j) {
      const Index at = i * n + j, place = per_output ? j * count + i : i;
      const V c = share * rows.c[rows.per_output ? at : i];
      const auto weighted = [c](V x) { return select(c == V{}, V{}, c * x); };
      const inner::Predictive<V> of_row(o[at], rows.y[at], v[place],
                                        broadcast<V>(numbers.noise(j) * numbers.noise(j)));
      total.add(weighted(of_row.value));
      if (to.o == nullptr) continue;
      to.o[at] = weighted(of_row.by_mean);
      to.v[place] += weighted(of_row.by_v);
      to.log_noise[j] += weighted(of_row.by_log_noise);
    }
  }
  return total.value();
}

}  // namespace FOMAML_FAST_NAMESPACE::lanes
