// The rows (examples) of many tasks, side by side in memory. Tasks may differ in length.
#pragma once

#include "network/spec.hpp"

namespace FOMAML_FAST_NAMESPACE {

template <class T>
struct RowSet {
  const T* x = nullptr;                  ///< [rows, n_0]
  const T* y = nullptr;                  ///< [rows, n_L] where targets are values
  const std::int32_t* labels = nullptr;  ///< [rows] where targets are labels
  const Index* offsets = nullptr;        ///< task t holds rows offsets[t] … offsets[t+1]-1
  /// c_i / n for every row (0 removes it); null means 1 / (rows of the task) for all. Or, if
  /// `per_output`, one for each of a row's outputs [rows, n_L], whose sum replaces their mean.
  const T* coefficients = nullptr;
  bool per_output = false;
  /// True if all tasks see the same rows 0 … offsets[1]-1.
  bool shared = false;
  /// Which classes each task has, [tasks, n_L]: 0 leaves an output out of the softmax; null: all.
  const std::uint8_t* classes = nullptr;
  /// All tasks have the classes of the first.
  bool same_classes = false;

  /// Outputs that share a coefficient, of the n_L of a row.
  [[nodiscard]] Index outputs_together(Index outputs) const { return per_output ? 1 : outputs; }
  [[nodiscard]] Index first(Index task) const { return shared ? 0 : offsets[task]; }
  [[nodiscard]] Index count(Index task) const {
    return shared ? offsets[1] : offsets[task + 1] - offsets[task];
  }
  /// The task's [n_L] classes, or null.
  [[nodiscard]] const std::uint8_t* classes_of(Index task, Index outputs) const {
    return classes == nullptr || same_classes ? classes : classes + task * outputs;
  }
};

/// Shape of a RowSet and the loss of its rows. Planners look at nothing else.
struct RowShape {
  Index longest = 0;        ///< rows of the longest task
  Index total = 0;          ///< rows over all tasks
  bool ragged = false;      ///< tasks differ in their number of rows
  bool per_output = false;  ///< every output of a row has a coefficient of its own
  LossSpec loss{};
};

}  // namespace FOMAML_FAST_NAMESPACE
