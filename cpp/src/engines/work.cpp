#include "engines/work.hpp"

namespace FOMAML_FAST_NAMESPACE {

namespace {

/// With rows of outputs of whole vectors of so many numbers; no hvp.
PassCosts gradient_costs(const NetworkSpec& net, Index columns) {
  const auto whole = [&](Index n) {
    return static_cast<double>((n + columns - 1) / columns * columns);
  };
  PassCosts costs;
  double back = 0;  // D W'
  for (int l = 0; l < net.depth; ++l) {
    costs.forward += 2 * static_cast<double>(net.fan_in(l)) * whole(net.fan_out(l));
    if (l > 0) back += 2 * static_cast<double>(net.fan_out(l)) * whole(net.fan_in(l));
  }
  costs.first = 2 * static_cast<double>(net.fan_in(0)) * whole(net.fan_out(0));
  costs.gradient = 2 * costs.forward + back;  // H W, H' D
  return costs;
}

/// Of the products of a head in closed form: the features times R, the smaller system and its
/// factor; for a gradient the ways back, which are about twice as many.
double head_operations(const Problem& problem) {
  const inner::HeadSpec& head = problem.algorithm.head;
  const auto tasks = static_cast<double>(problem.tasks),
             m = static_cast<double>(problem.net.features());
  const double rows = static_cast<double>(problem.support.total) / std::max(1.0, tasks);
  const double queries = static_cast<double>(problem.query.total) / std::max(1.0, tasks);
  const double side = std::min(rows, m), of_factor = head.prior == inner::Prior::full ? m : 1;
  const double once = 2 * rows * m * of_factor + 2 * rows * m * side + side * side * side / 3;
  if (problem.operation == Operation::adapt) return tasks * once;
  const double back = problem.algorithm.flow == Flow::exact ? 2 * once : 0;
  const double spread = head.predictive ? 6 * queries * m * (of_factor + side) : 0;
  return tasks * (once + back + spread);
}

}  // namespace

PassCosts PassCosts::nominal(const NetworkSpec& net) {
  PassCosts costs = gradient_costs(net, 1);
  costs.hvp = 2 * costs.gradient;
  return costs;
}

PassCosts PassCosts::padded(const NetworkSpec& net, Index columns) {
  PassCosts costs = gradient_costs(net, columns);
  costs.hvp = 2 * costs.gradient - 2 * costs.first;
  return costs;
}

double operations(const Problem& problem, const PassCosts& row) {
  const auto support = static_cast<double>(problem.support.total);
  const auto query = static_cast<double>(problem.query.total);
  const AlgorithmSpec& algorithm = problem.algorithm;
  const double steps = algorithm.steps;
  const bool solves = algorithm.head.given();
  const double jets = support * static_cast<double>(problem.jet.streams());
  switch (problem.operation) {
    case Operation::predict:
    case Operation::loss:
      return support * row.forward;
    case Operation::jvp:
    case Operation::input_vjp:
    case Operation::input_jvp:
      return support * 2 * row.forward;
    case Operation::vjp:
    case Operation::gradient:
      return support * row.gradient;
    case Operation::gnvp:
      return support * (row.gradient + row.forward);
    case Operation::vjp_tangent:
    case Operation::hvp:
      return support * (row.gradient + row.hvp);
    case Operation::jet:
      return jets * row.forward;
    case Operation::jet_jvp:
      return jets * 2 * row.forward;
    case Operation::jet_vjp:
      return jets * row.gradient;
    case Operation::jet_vjp_tangent:
      return jets * (row.gradient + row.hvp);
    case Operation::adapt: {
      // A trace evaluates the query, and once more the support, where the last step ends.
      const double traced = static_cast<double>(problem.trace_points) * query + support;
      if (solves) return head_operations(problem) + (support + traced) * row.forward;
      return steps * support * row.gradient + (problem.wants_trace ? traced * row.forward : 0);
    }
    case Operation::meta_gradient:
      break;
  }
  if (solves) {
    const double through = algorithm.flow == Flow::exact ? row.gradient : row.forward;
    return head_operations(problem) + support * (row.forward + through) + query * row.gradient;
  }
  const double back = algorithm.flow == Flow::exact ? row.hvp : 0;
  const double losses = algorithm.multi_step ? steps : 1;
  const double after = algorithm.flow == Flow::reptile ? row.forward : row.gradient;
  return steps * support * (row.gradient + back) + losses * query * after;
}

}  // namespace FOMAML_FAST_NAMESPACE
