// Losses over row-major outputs, kLanes rows at a time: each pack holds one output of that many
// rows, as the loss contract asks.
#pragma once

#include "engines/rows/plan.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

/// Loss, targets and coefficients of some rows of one task.
template <class T>
struct Targeted {
  LossSpec loss{};
  Index outputs = 0;
  const T* y = nullptr;
  const std::int32_t* labels = nullptr;
  const T* coefficients = nullptr;
  const std::uint8_t* classes = nullptr;  ///< [n_L], 0 where the task has none such
  T uniform = 0;  ///< the coefficient of every row where `coefficients` is null
  Index count = 0;

  /// Rows first … first + count - 1 of `task`.
  static Targeted of(const RowShape& shape, const RowSet<T>& set, Index task, Index first,
                     Index count, Index outputs) {
    const Index row = set.first(task) + first;
    return {shape.loss,
            outputs,
            set.y == nullptr ? nullptr : set.y + row * outputs,
            set.labels == nullptr ? nullptr : set.labels + row,
            set.coefficients == nullptr ? nullptr : set.coefficients + row,
            set.classes_of(task, outputs),
            T(1) / static_cast<T>(set.count(task)),
            count};
  }
};

/// Scratch of n_L packs each, for one worker.
template <class T>
struct LossScratch {
  Vec<T>*o, *y, *d, *r;

  static LossScratch carve(Index outputs, Arena& arena) {
    LossScratch scratch{};
    for (Vec<T>** packs : {&scratch.o, &scratch.y, &scratch.d, &scratch.r}) {
      *packs = arena.take<Vec<T>>(outputs);
    }
    return scratch;
  }
};

/// Sum over the rows of c_i l_i for outputs o [rows, stride]. With `d`, also the gradient on the
/// outputs, same shape. Rows whose coefficient is 0 count for nothing, whatever they hold.
template <class T>
T loss(const Targeted<T>& rows, const T* o, Index stride, const LossScratch<T>& scratch, T* d);

/// rd = c_i (Hessian on the outputs) . ro, row by row.
template <class T>
void loss_curvature(const Targeted<T>& rows, const T* o, const T* ro, Index stride,
                    const LossScratch<T>& scratch, T* rd);

}  // namespace FOMAML_FAST_NAMESPACE::rows
