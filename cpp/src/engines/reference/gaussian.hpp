// The predictive distribution's negative log-likelihood of one task's rows, with its gradients.
#pragma once

#include "inner/predictive.hpp"
#include "kernels/compensated.hpp"
#include "network/rows.hpp"

namespace FOMAML_FAST_NAMESPACE::reference {

/// Means o [rows, n], variances s_j^2 (1 + v) with v of row i and output j at v[j * stride + i];
/// stride 0: the same for all outputs. The loss is the rows' mean over outputs, with their
/// coefficients.
/// Where `d` is not null the gradients are written: on o, on v (summed over outputs that share it)
/// and added to that on log s.
template <class T>
struct GaussianRows {
  const RowSet<T>& rows;
  Index task;
  Index outputs;
  const double* log_noise;
  const double* v;
  Index stride;

  double loss(const T* o, T* d, double* v_bar, double* log_noise_bar) const {
    const Index count = rows.count(task), first = rows.first(task);
    const double share = 1.0 / static_cast<double>(outputs);
    CompensatedSum<double> total;
    if (d != nullptr) std::fill_n(v_bar, stride == 0 ? count : outputs * stride, 0.0);
    for (Index i = 0; i < count; ++i) {
      for (Index j = 0; j < outputs; ++j) {
        const Index at = (first + i) * outputs + j, here = i * outputs + j;
        const double c = coefficient(first + i, at, count) * (rows.per_output ? 1 : share);
        if (d != nullptr) d[here] = 0;
        if (c == 0) continue;
        const double y = static_cast<double>(rows.y[at]), o_here = static_cast<double>(o[here]);
        const inner::Predictive<double> of_row(o_here, y, v[j * stride + i],
                                               std::exp(2 * log_noise[j]));
        total.add(c * of_row.value);
        if (d == nullptr) continue;
        d[here] = static_cast<T>(c * of_row.by_mean);
        v_bar[j * stride + i] += c * of_row.by_v;
        log_noise_bar[j] += c * of_row.by_log_noise;
      }
    }
    return total.value();
  }

 private:
  [[nodiscard]] double coefficient(Index row, Index at, Index count) const {
    if (rows.coefficients == nullptr) return 1.0 / static_cast<double>(count);
    return static_cast<double>(rows.coefficients[rows.per_output ? at : row]);
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::reference
