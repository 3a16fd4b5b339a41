// The rows (examples) of many tasks, side by side in memory. Tasks may differ in length.
#pragma once

#include "network/spec.hpp"

namespace FOMAML_FAST_NAMESPACE {

template <class T>
struct RowSet {
  const T* x = nullptr;                  ///< [rows, n_0]
  const T* y = nullptr;                  ///< [rows, n_L] where targets are values
  const std::int32_t* labels = nullptr;  ///< [rows] where targets are labels
  const Index* offsets = nullptr;        ///< set s holds rows offsets[s] … offsets[s+1]-1
  Index steps = 1;  ///< sets of every task, one after another: one, or one for every inner step
  Index step = 0;   ///< that this view shows
  /// c_i / n for every row (0 removes it); null means 1 / (rows of the task) for all. Or, if
  /// `per_output`, one for each of a row's outputs [rows, n_L], whose sum replaces their mean.
  const T* coefficients = nullptr;
  bool per_output = false;
  /// The c_i alone where any were given, [rows]; or [rows, n_L] if `weighs_outputs`.
  const T* weights = nullptr;
  bool weighs_outputs = false;
  /// True if all tasks see the sets of the first.
  bool shared = false;
  /// Which classes each task has, [tasks, n_L]: 0 leaves an output out of the softmax; null: all.
  const std::uint8_t* classes = nullptr;
  /// All tasks have the classes of the first.
  bool same_classes = false;

  /// Outputs that share a coefficient, of the n_L of a row.
  [[nodiscard]] Index outputs_together(Index outputs) const { return per_output ? 1 : outputs; }
  [[nodiscard]] Index first(Index task) const { return offsets[set(task)]; }
  [[nodiscard]] Index count(Index task) const {
    return offsets[set(task) + 1] - offsets[set(task)];
  }
  /// What inner step k sees; whatever comes after the last step sees its rows.
  [[nodiscard]] RowSet at_step(int k) const {
    RowSet rows = *this;
    rows.step = std::min<Index>(k, steps - 1);
    return rows;
  }
  /// The task's [n_L] classes, or null.
  [[nodiscard]] const std::uint8_t* classes_of(Index task, Index outputs) const {
    return classes == nullptr || same_classes ? classes : classes + task * outputs;
  }

 private:
  [[nodiscard]] Index set(Index task) const { return (shared ? 0 : task) * steps + step; }
};

/// Shape of a RowSet and the loss of its rows. Planners look at nothing else.
struct RowShape {
  Index longest = 0;        ///< rows of the longest set
  Index total = 0;          ///< rows over all tasks, of an average step
  bool ragged = false;      ///< sets differ in their number of rows
  bool per_output = false;  ///< every output of a row has a coefficient of its own
  bool stepped = false;     ///< every inner step has a set of its own
  LossSpec loss{};
};

}  // namespace FOMAML_FAST_NAMESPACE
