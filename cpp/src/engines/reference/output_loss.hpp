// The loss of one task's outputs [rows, n_L], and its derivatives on them.
//
// What has one coefficient is a part of a row: the row, or with coefficients per output each of its
// outputs alone. A part with coefficient 0 counts for nothing, whatever it holds.
#pragma once

#include "kernels/compensated.hpp"
#include "losses/registry.hpp"
#include "network/rows.hpp"

namespace FOMAML_FAST_NAMESPACE::reference {

/// Calls body(of_part, place, size, y, c) for all parts of the task's rows: the loss, where the
/// part's outputs begin and how many they are, their target and coefficient.
template <class T, class Body>
void for_each_part(const LossSpec& loss, Index n, const RowSet<T>& rows, Index task, Body&& body) {
  const Index size = rows.outputs_together(n), parts = rows.count(task) * (n / size);
  const Index first = rows.first(task) * (n / size);
  visit_loss(loss, [&]<class L>(const L& of_part) {
    for (Index part = 0; part < parts; ++part) {
      const T c = rows.coefficients != nullptr ? rows.coefficients[first + part]
                                               : T(1) / static_cast<T>(rows.count(task));
      if constexpr (L::targets == Targets::labels) {
        const T label = static_cast<T>(rows.labels[first + part]);
        body(of_part, part * size, size, &label, c);
      } else {
        body(of_part, part * size, size, rows.y + (first + part) * size, c);
      }
    }
  });
}

/// The sum over the parts of c l; with `gradient`, d = its gradient on the outputs o.
template <class T>
T output_loss(const LossSpec& loss, Index n, const RowSet<T>& rows, Index task, const T* o,
              bool gradient, T* d) {
  CompensatedSum<T> total;
  for_each_part(loss, n, rows, task, [&](const auto& of, Index at, Index size, const T* y, T c) {
    if (c == 0) {
      std::fill_n(d + at, size, T(0));
    } else if (gradient) {
      total.add(c * of.gradient(o + at, y, size, d + at));
      for (Index j = at; j < at + size; ++j) d[j] *= c;
    } else {
      total.add(c * of.value(o + at, y, size));
    }
  });
  return total.value();
}

/// rd = (Hessian of that sum on the outputs) . ro
template <class T>
void output_curvature(const LossSpec& loss, Index n, const RowSet<T>& rows, Index task, const T* o,
                      const T* ro, T* rd) {
  for_each_part(loss, n, rows, task, [&](const auto& of, Index at, Index size, const T* y, T c) {
    if (c == 0) {
      std::fill_n(rd + at, size, T(0));
      return;
    }
    of.hessian_vector(o + at, y, ro + at, size, rd + at);
    for (Index j = at; j < at + size; ++j) rd[j] *= c;
  });
}

}  // namespace FOMAML_FAST_NAMESPACE::reference
