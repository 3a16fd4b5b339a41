// Rows of their own at every inner step: the axis behind that of tasks.
//
// Whoever reads rows knows sets alone. Here [tasks, steps, rows, …] becomes [tasks * steps, rows,
// …] and a list of lists one list: set k of task t is set t * steps + k.
#pragma once

#include <optional>

#include "api/example_reader.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

class StepAxis {
 public:
  /// Whether inputs have the axis; then all that goes with them has it.
  static bool is_in(const Argument& x) {
    return x.nested() || (x.count == 1 && !x.listed && x.array().shape.axes == 4);
  }
  /// Folds it where rows may have one. They then refer to this object.
  bool fold(ExampleArguments& rows, Fault& fault) {
    return !rows.takes_steps || !is_in(rows.x) || fold_fields(rows, fault);
  }

 private:
  bool fold_fields(ExampleArguments& rows, Fault& fault);

  using Arrays = std::array<Array, 4>;
  std::optional<Arrays> folded_;
};

}  // namespace FOMAML_FAST_NAMESPACE::api
