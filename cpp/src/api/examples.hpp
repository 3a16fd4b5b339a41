// The examples of many tasks: inputs, targets, weights and classes, checked, in the core's layout.
#pragma once

#include "api/fault.hpp"
#include "api/network.hpp"
#include "base/arena.hpp"
#include "engines/engine.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

/// Rows of all tasks on top of each other. Whoever made it keeps the memory.
struct Examples {
  enum class Kind : std::uint8_t { none, numbers, labels };

  const char *x_name = "x", *y_name = "y", *class_mask_name = "class_mask",
             *weights_name = "weights";
  DType dtype = DType::none;
  Index tasks = 0;
  Index steps = 0;      ///< sets of every task, one for every inner step; 0: one for all steps
  bool shared = false;  ///< all tasks see the sets of the first
  bool single = false;  ///< the caller gave one set of rows, without an axis of tasks
  bool listed = false;  ///< inputs came as a list of one array a task
  RowShape shape{};
  const Index* offsets = nullptr;  ///< [sets + 1]
  const void* x = nullptr;         ///< [rows, columns]
  Index columns = 0;
  Kind kind = Kind::none;
  const void* y = nullptr;                ///< [rows, target_columns], or int32 labels [rows]
  Index target_columns = 0;               ///< of numbers
  Index top_label = -1;                   ///< the largest
  const void* weights = nullptr;          ///< [rows], as given
  bool weighs_outputs = false;            ///< weights are [rows, target_columns]
  const std::uint8_t* known = nullptr;    ///< [rows, target_columns]: 0 where y is not to be read
  const void* coefficients = nullptr;     ///< weight / n, shaped as RowSet wants them
  const char* per_output_name = "";       ///< of the argument that has an axis of outputs
  const std::uint8_t* classes = nullptr;  ///< [tasks, class_columns]
  Index class_columns = 0;
  bool same_classes = false;  ///< all tasks have those of the first

  [[nodiscard]] Index sets_of_task() const { return std::max<Index>(1, steps); }
  [[nodiscard]] Index sets() const { return (shared ? 1 : tasks) * sets_of_task(); }
  [[nodiscard]] Index rows() const { return offsets[sets()]; }
  [[nodiscard]] Index weight_columns() const { return weighs_outputs ? target_columns : 1; }
  [[nodiscard]] bool labelled() const { return kind == Kind::labels; }

  template <class T>
  [[nodiscard]] RowSet<T> view() const {
    RowSet<T> rows;
    rows.x = static_cast<const T*>(x);
    if (labelled()) {
      rows.labels = static_cast<const std::int32_t*>(y);
    } else {
      rows.y = static_cast<const T*>(y);
    }
    rows.offsets = offsets;
    rows.steps = sets_of_task();
    rows.coefficients = static_cast<const T*>(coefficients);
    rows.per_output = shape.per_output;
    rows.weights = static_cast<const T*>(weights);
    rows.weighs_outputs = weighs_outputs;
    rows.classes = classes;
    rows.same_classes = same_classes;
    rows.shared = shared;
    return rows;
  }
  /// What a problem of them says of its rows.
  [[nodiscard]] RowShape shape_with(const LossSpec& loss) const {
    RowShape with = shape;
    with.loss = loss;
    return with;
  }
  /// The same rows for so many tasks, where there is one set of them.
  [[nodiscard]] Examples for_tasks(Index count) const {
    Examples more = *this;
    if (count == tasks || tasks != 1) return more;
    more.tasks = count;
    more.shared = true;
    more.same_classes = true;
    more.shape.total = count * shape.longest;
    return more;
  }
};

/// The loss of these rows: the network's, or the one that stands in for it; rows of probabilities
/// take the twin of cross_entropy.
LossSpec loss_of(const Network& net, const Examples& examples, const LossSpec* instead = nullptr);

/// Whether a network can take these rows: inputs, outputs, kind and range of targets. The context
/// takes the place of some inputs.
bool fits(const Examples& examples, const Network& net, const LossSpec* instead, Index context,
          Fault& fault);

/// Whether targets name classes that their task has.
bool classes_hold(const Examples& examples, Fault& fault);

/// Whether support and query are of the same tasks.
bool match(const Examples& support, const Examples& query, Fault& fault);

/// Whether there are rows for every one of so many inner steps; with `all`, and no more.
bool holds_steps(const Examples& support, int steps, bool all, Fault& fault);

/// Whether the algorithm can take its inner steps on these rows.
bool match(const Examples& support, const AlgorithmSpec& algorithm, Fault& fault);

/// Whether these are one finite weight a task, in the dtype of the inputs.
bool check_task_weights(const Argument& weights, Index tasks, DType dtype, const char* like,
                        Fault& fault);

/// Some of the tasks, copied into `arena`; with an arena that counts, only counted.
Examples take_tasks(const Examples& from, const Index* tasks, Index count, Arena& arena);

/// The rows of one inner step alone, copied likewise.
Examples take_step(const Examples& from, Index step, Arena& arena);

}  // namespace FOMAML_FAST_NAMESPACE::api
