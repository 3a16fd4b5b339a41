#include "engines/rows/rows.hpp"

#include "engines/rows/adapt.hpp"
#include "engines/rows/evaluate.hpp"
#include "engines/rows/general_path.hpp"
#include "engines/rows/meta_gradient.hpp"
#include "engines/rows/work.hpp"

namespace FOMAML_FAST_NAMESPACE {

namespace rows {
namespace {

const char* unsupported(const Problem& problem) {
  if (problem.algorithm.context > 0) return "context parameters";
  if (differentiates_inputs(problem.operation)) return kOverInputs;
  if (problem.algorithm.head.given()) return kClosedForm;
  const bool learns =
      problem.operation == Operation::adapt || problem.operation == Operation::meta_gradient;
  // Statistics over rows are taken of all of them at once.
  if (!learns && problem.net.normalized(Norm::batch) && problem.support.longest > kStretch) {
    return kInStretches;
  }
  return nullptr;
}

/// The unit of every engine's cost.
double cost(const Problem&) { return 1; }

/// Calls `visitor` with the class that computes the problem: fused steps where they can.
template <class T, class Visitor>
auto visit_operation(const Problem& problem, Visitor visitor) {
  switch (problem.operation) {
    case Operation::adapt:
      if (has_fused_steps(problem)) return visitor.template operator()<Adapt<T>>();
      return visitor.template operator()<GeneralPath<T>>();
    case Operation::meta_gradient:
      if (has_fused_steps(problem)) return visitor.template operator()<MetaGradient<T>>();
      return visitor.template operator()<GeneralPath<T>>();
    default:
      return visitor.template operator()<Evaluate<T>>();
  }
}

template <class T>
std::size_t workspace_bytes(const Problem& problem, int workers) {
  return visit_operation<T>(
      problem, [&]<class Body>() { return operation_bytes<Body, T>(problem, workers); });
}

template <class T>
Status run(const Problem& problem, const Call<T>& call, const Execution& execution,
           std::byte* memory) {
  return visit_operation<T>(problem, [&]<class Body>() {
    return run_operation<Body, T>(problem, call, execution, memory);
  });
}

}  // namespace
}  // namespace rows

template <class T>
Engine<T> rows_engine() {
  return {"rows",      &rows::unsupported,        &rows::cost,
          &rows::work, &rows::workspace_bytes<T>, &rows::run<T>,
          true};
}

template Engine<float> rows_engine<float>();
template Engine<double> rows_engine<double>();

}  // namespace FOMAML_FAST_NAMESPACE
