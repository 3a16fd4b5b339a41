#include "api/operations.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

/// Operations per row of one pass.
struct PerRow {
  double forward = 0;
  double gradient = 0;  ///< forward, weight gradients, gradients of all inputs but the data
  double hvp = 0;       ///< the R-operator's share on top of a gradient

  explicit PerRow(const NetworkSpec& net) {
    double weights = 0;
    for (int l = 0; l < net.depth; ++l) {
      weights += static_cast<double>(net.fan_in(l)) * static_cast<double>(net.fan_out(l));
    }
    const double first = static_cast<double>(net.fan_in(0)) * static_cast<double>(net.fan_out(0));
    forward = 2 * weights;
    gradient = forward + 2 * weights + 2 * (weights - first);
    hvp = 2 * gradient;
  }
};

}  // namespace

double operations(const Problem& problem) {
  const PerRow row(problem.net);
  const auto support = static_cast<double>(problem.support.total);
  const auto query = static_cast<double>(problem.query.total);
  const double steps = problem.algorithm.steps;
  switch (problem.operation) {
    case Operation::predict:
    case Operation::loss:
      return support * row.forward;
    case Operation::jvp:
      return support * 2 * row.forward;
    case Operation::vjp:
    case Operation::gradient:
      return support * row.gradient;
    case Operation::gnvp:
      return support * (row.gradient + row.forward);
    case Operation::vjp_tangent:
    case Operation::hvp:
      return support * (row.gradient + row.hvp);
    case Operation::adapt: {
      // A trace evaluates the query, and once more the support, where the last step ends.
      const double looks = static_cast<double>(problem.trace_points) * query + support;
      return steps * support * row.gradient + (problem.wants_trace ? looks * row.forward : 0);
    }
    case Operation::meta_gradient:
      break;
  }
  const AlgorithmSpec& algorithm = problem.algorithm;
  const double back = algorithm.flow == Flow::exact ? row.hvp : 0;
  const double losses = algorithm.multi_step ? steps : 1;
  const double after = algorithm.flow == Flow::reptile ? row.forward : row.gradient;
  return steps * support * (row.gradient + back) + losses * query * after;
}

}  // namespace FOMAML_FAST_NAMESPACE::api
