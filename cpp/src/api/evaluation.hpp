// Predictions, losses, gradients and products with Jacobians and Hessians at given parameters.
//
// Like ExampleReader, in two strokes: `measure` checks shapes and dtypes, `read` the numbers.
#pragma once

#include "api/example_reader.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

struct EvaluationArguments {
  Operation operation = Operation::predict;
  const Network* net = nullptr;
  Argument theta{};                    ///< [P], or [T, P]
  ExampleArguments rows{};             ///< x, and what the operation needs besides
  const Examples* examples = nullptr;  ///< instead of rows
  Argument tangent{};                  ///< hvp, gnvp, jvp, vjp_tangent: [P] or [T, P]
  Argument cotangents{};          ///< vjp, vjp_tangent: shaped as outputs, one set or one a task
  Argument cotangent_tangents{};  ///< vjp_tangent: the same
  bool wants_tangent = false, wants_cotangents = false;  ///< they must be given
  bool check_finite = true;
};

class Evaluation {
 public:
  explicit Evaluation(const EvaluationArguments& arguments);

  bool measure(Fault& fault);
  [[nodiscard]] std::size_t bytes() const;
  bool read(std::byte* memory, Fault& fault);

  /// After `measure`: there is nothing to compute; `tasks` and `rows` say how many results are.
  [[nodiscard]] bool empty() const { return in_.examples == nullptr && reader_.empty(); }
  [[nodiscard]] DType dtype() const { return in_.theta.dtype(); }
  [[nodiscard]] Index tasks() const { return tasks_; }
  /// No argument has an axis of tasks: neither have results.
  [[nodiscard]] bool single() const { return single_; }
  [[nodiscard]] const Examples& examples() const { return examples_; }
  /// Rows of every set, where they do not differ.
  [[nodiscard]] Index rows() const {
    return in_.examples == nullptr && reader_.empty() ? reader_.count(0) : examples_.shape.longest;
  }

  /// Where results go; only those of the operation are looked at.
  template <class T>
  struct Results {
    T* outputs = nullptr;  ///< predict, jvp: [rows of all tasks, n_L]
    T* losses = nullptr;   ///< loss, gradient: [tasks]
    T* vectors = nullptr;  ///< gradient, hvp, gnvp, vjp, vjp_tangent: [tasks, P]
  };
  template <class T>
  Status run(const Results<T>& results, const Execution& execution) const;
  /// After `run`, unless `check_finite` is off: false where a loss is NaN, or anything
  /// else is not finite.
  template <class T>
  bool check(const Results<T>& results, Fault& fault) const;

 private:
  bool join(const char* name, Index tasks, Fault& fault);
  bool measure_outputs_like(const Argument& argument, Fault& fault);
  template <class T>
  const T* read_outputs_like(const Argument& argument, Arena& arena) const;
  [[nodiscard]] Index held(const Argument& argument) const;
  [[nodiscard]] Index count(Index task) const;
  void carve(Arena& arena) const;

  EvaluationArguments in_;
  ExampleReader reader_;
  Examples examples_{};
  Index tasks_ = 1;
  Index out_rows_ = 0;  ///< of all tasks
  bool single_ = true;
  const void *cotangents_ = nullptr, *cotangent_tangents_ = nullptr;
};

}  // namespace FOMAML_FAST_NAMESPACE::api
