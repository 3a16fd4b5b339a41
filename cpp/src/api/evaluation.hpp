// Predictions, losses, gradients and products with Jacobians and Hessians at given parameters.
//
// Like ExampleReader, in two strokes: `measure` checks shapes and dtypes, `read` the numbers.
#pragma once

#include "api/directions.hpp"
#include "api/example_reader.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

struct EvaluationArguments {
  Operation operation = Operation::predict;
  const Network* net = nullptr;
  Argument theta{};                    ///< [P], or [T, P]
  ExampleArguments rows{};             ///< x, and what the operation needs besides
  const Examples* examples = nullptr;  ///< instead of rows
  Argument tangent{};  ///< hvp, gnvp, jvp, vjp_tangent, and those of jets: [P] or [T, P]
  /// vjp, vjp_tangent, input_vjp: shaped as outputs, one set or one a task; of jets: as results
  /// are.
  Argument cotangents{};
  Argument cotangent_tangents{};  ///< vjp_tangent, and of jets: the same
  Argument input_tangents{};      ///< input_jvp: shaped as x, one set or one a task
  Argument directions{};          ///< of jets: [D, n_0]
  int order = 0;                  ///< of jets: 1 or 2
  bool wants_tangent = false, wants_cotangents = false;  ///< they must be given
  bool wants_input_tangents = false;
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

  /// Numbers that a row's result has: outputs, the jets of all of them, or inputs.
  [[nodiscard]] Index output_columns() const {
    const NetworkSpec& net = in_.net->spec;
    return in_.operation == Operation::input_vjp ? net.inputs() : net.outputs() * jet_.streams();
  }

  /// Where results go; only those of the operation are looked at.
  template <class T>
  struct Results {
    T* outputs = nullptr;  ///< whatever has rows: [rows of all tasks, output_columns]
    T* losses = nullptr;   ///< loss, gradient: [tasks]
    T* vectors = nullptr;  ///< gradients and products over the parameters: [tasks, P]
  };
  template <class T>
  Status run(const Results<T>& results, const Execution& execution) const;
  /// After `run`, unless `check_finite` is off: false where a loss is NaN, or anything
  /// else is not finite.
  template <class T>
  bool check(const Results<T>& results, Fault& fault) const;

 private:
  bool join(const char* name, Index tasks, Fault& fault);
  bool measure_vectors(Fault& fault);
  /// One vector a row, [rows, columns] as `like` has them: one set of them, or one a task.
  bool measure_rows_of(const Argument& argument, Index columns, const char* like, Fault& fault);
  template <class T>
  const T* read_rows_of(const Argument& argument, Index columns, Arena& arena) const;
  template <class T>
  void read_vectors(Arena& arena, const T*& cotangents, const T*& cotangent_tangents,
                    const T*& input_tangents) const;
  [[nodiscard]] Index held(const Argument& argument) const;
  [[nodiscard]] Index count(Index task) const;
  void carve(Arena& arena) const;

  EvaluationArguments in_;
  ExampleReader reader_;
  Examples examples_{};
  Index tasks_ = 1;
  Index out_rows_ = 0;  ///< of all tasks
  bool single_ = true;
  JetShape jet_{};
  const void *cotangents_ = nullptr, *cotangent_tangents_ = nullptr, *input_tangents_ = nullptr;
};

}  // namespace FOMAML_FAST_NAMESPACE::api
