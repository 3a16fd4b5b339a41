#include "engines/rows/rows.hpp"

#include "engines/rows/adapt.hpp"
#include "engines/rows/evaluate.hpp"
#include "engines/rows/meta_gradient.hpp"

namespace FOMAML_FAST_NAMESPACE {

namespace rows {
namespace {

/// The fused update is plain gradient descent with one rate per layer and step.
bool supports(const Problem& problem) {
  return !problem.net.normalized() && problem.algorithm.is_plain(problem.net.depth) &&
         problem.algorithm.context == 0 && !problem.wants_trace && !problem.weighs_tasks;
}

/// Calls `visitor` with the operation's class.
template <class T, class Visitor>
auto visit_operation(Operation operation, Visitor visitor) {
  switch (operation) {
    case Operation::adapt:
      return visitor.template operator()<Adapt<T>>();
    case Operation::meta_gradient:
      return visitor.template operator()<MetaGradient<T>>();
    default:
      return visitor.template operator()<Evaluate<T>>();
  }
}

template <class T>
std::size_t workspace_bytes(const Problem& problem, int workers) {
  return visit_operation<T>(
      problem.operation, [&]<class Body>() { return operation_bytes<Body, T>(problem, workers); });
}

template <class T>
Status run(const Problem& problem, const Call<T>& call, const Execution& execution,
           std::byte* memory) {
  return visit_operation<T>(problem.operation, [&]<class Body>() {
    return run_operation<Body, T>(problem, call, execution, memory);
  });
}

}  // namespace
}  // namespace rows

template <class T>
Engine<T> rows_engine() {
  return {"rows", &rows::supports, &rows::workspace_bytes<T>, &rows::run<T>};
}

template Engine<float> rows_engine<float>();
template Engine<double> rows_engine<double>();

}  // namespace FOMAML_FAST_NAMESPACE
