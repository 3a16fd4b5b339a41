#include "evaluation_call.hpp"

#include "arguments.hpp"
#include "hooks.hpp"
#include "results.hpp"

namespace fomaml_fast_bindings {

namespace {

/// Whether the result has a vector for every row.
bool has_rows(Operation operation) {
  switch (operation) {
    case Operation::predict:
    case Operation::jvp:
    case Operation::input_vjp:
    case Operation::input_jvp:
    case Operation::jet:
    case Operation::jet_jvp:
      return true;
    default:
      return false;
  }
}

/// A vector on the outputs of every row: in one array, or a list where tasks differ in length.
template <class T>
class Outputs {
 public:
  Outputs(const api::Evaluation& evaluation, Index columns)
      : evaluation_(evaluation), array_(new_array_for(evaluation, columns)) {}
  T* data() { return array_.mutable_data(); }
  py::object get() const {
    const api::Examples& examples = evaluation_.examples();
    if (evaluation_.empty() || !examples.shape.ragged) return array_;
    py::list all;
    const Index columns = array_.shape(1);
    for (Index t = 0; t < examples.tasks; ++t) {
      const Index first = examples.offsets[t], rows = examples.offsets[t + 1] - first;
      all.append(view_of<T>(array_.data() + first * columns, {rows, columns}, array_, false));
    }
    return all;
  }

 private:
  static py::array_t<T> new_array_for(const api::Evaluation& evaluation, Index columns) {
    const api::Examples& examples = evaluation.examples();
    if (!evaluation.empty() && examples.shape.ragged) {
      return new_array<T>({examples.shape.total, columns});
    }
    if (evaluation.single()) return new_array<T>({evaluation.rows(), columns});
    return new_array<T>({evaluation.tasks(), evaluation.rows(), columns});
  }

  const api::Evaluation& evaluation_;
  py::array_t<T> array_;
};

template <class T>
py::object compute(const api::Evaluation& evaluation, Operation operation, Index n_params,
                   int threads) {
  api::Evaluation::Results<T> results;
  const auto run_it = [&] {
    run(threads,
        [&](const core::Execution& execution) { return evaluation.run(results, execution); });
    api::Fault fault;
    expect(evaluation.check(results, fault), fault);
  };
  if (has_rows(operation)) {
    Outputs<T> outputs(evaluation, evaluation.output_columns());
    results.outputs = outputs.data();
    if (!evaluation.empty()) run_it();
    return outputs.get();
  }
  T one = 0;
  py::object losses;
  const bool has_losses = operation == Operation::loss || operation == Operation::gradient;
  if (has_losses && !evaluation.single()) {
    auto array = new_array<T>({evaluation.tasks()});
    results.losses = array.mutable_data();
    losses = std::move(array);
  } else {
    results.losses = &one;
  }
  py::object vectors;
  if (operation != Operation::loss) {
    auto array = evaluation.single() ? new_array<T>({n_params})
                                     : new_array<T>({evaluation.tasks(), n_params});
    results.vectors = array.mutable_data();
    vectors = std::move(array);
  }
  run_it();
  if (has_losses && !losses) losses = py::float_(static_cast<double>(one));
  if (operation == Operation::loss) return losses;
  return has_losses ? py::object(py::make_tuple(losses, vectors)) : vectors;
}

/// The rows of a batch, where x is one; null where x is an array.
const api::Examples* examples_in(const py::handle& x) {
  if (is_ndarray(x) || !py::isinstance<ExamplesObject>(x)) return nullptr;
  return &py::cast<const ExamplesObject&>(x).examples;
}

}  // namespace

py::object evaluate_call(const api::Network& net, const EvaluationCall& asked) {
  const Given theta("theta", asked.theta);
  const api::DType dtype = theta->dtype();
  const api::Examples* const examples = examples_in(asked.x);
  const Given x("x", examples == nullptr ? asked.x : py::handle(),
                {Role::numbers, dtype, Lists::tasks});
  // Beside one set of rows a list is one array.
  const bool stacked = x->listed || (x->given() && x->array().shape.axes != 2);
  const Lists listed = stacked ? Lists::tasks : Lists::none;
  const Given y("y", asked.y, {Role::targets, dtype, listed});
  const Given weights("weights", asked.weights, {Role::numbers, dtype, listed});
  const Given mask("mask", asked.mask, {Role::flags, api::DType::none, listed});
  const Given class_mask("class_mask", asked.class_mask, {Role::flags});
  const Given context("context", asked.context, {Role::numbers, dtype});
  const Given tangent("v", asked.tangent, {Role::numbers, dtype});
  const Given cotangents("cotangent", asked.cotangents, {Role::numbers, dtype, Lists::tasks});
  const Given moved("cotangent_tangent", asked.cotangent_tangents,
                    {Role::numbers, dtype, Lists::tasks});
  const Operation operation = asked.operation;
  const Given input_tangents("tangent", asked.input_tangents, {Role::numbers, dtype, Lists::tasks});
  const Given directions("directions", asked.directions, {Role::numbers, dtype});
  const int threads = threads_of(asked.threads);
  api::Evaluation evaluation({.operation = operation,
                              .net = &net,
                              .theta = *theta,
                              .rows = {.x = *x,
                                       .y = *y,
                                       .weights = *weights,
                                       .mask = *mask,
                                       .class_mask = *class_mask,
                                       .context = *context,
                                       .wants_targets = bool(asked.y),
                                       .takes_empty = has_rows(operation)},
                              .examples = examples,
                              .tangent = *tangent,
                              .cotangents = *cotangents,
                              .cotangent_tangents = *moved,
                              .input_tangents = *input_tangents,
                              .directions = *directions,
                              .order = asked.order,
                              .wants_tangent = bool(asked.tangent),
                              .wants_cotangents = bool(asked.cotangents),
                              .wants_input_tangents = bool(asked.input_tangents),
                              .check_finite = flag_of(asked.check_finite, "check_finite")});
  api::Fault fault;
  expect(evaluation.measure(fault), fault);
  CallMemory memory(evaluation.bytes());
  expect(evaluation.read(memory.data(), fault), fault);
  return api::visit_float(evaluation.dtype(), [&]<class T>(T) {
    return compute<T>(evaluation, operation, net.n_params(), threads);
  });
}

}  // namespace fomaml_fast_bindings
