#include "engines/rows/work.hpp"

#include <cmath>

#include "engines/rows/shapes.hpp"
#include "engines/work.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

namespace {

/// Of a problem whose first layer is dual, with tasks of equal length.
double dual_operations(const Problem& problem, Index lanes) {
  const NetworkSpec& net = problem.net;
  const auto whole = [&](double n) {
    return std::ceil(n / static_cast<double>(lanes)) * static_cast<double>(lanes);
  };
  const auto number = [](Index n) { return static_cast<double>(n); };
  const PassCosts all = PassCosts::padded(net, lanes);
  const double tasks = number(problem.tasks);
  const double support = number(problem.support.total) / tasks;
  const double query = number(problem.query.total) / tasks, steps = problem.algorithm.steps;
  const double inputs = number(net.inputs()), width = whole(number(net.fan_out(0)));
  const double upper = all.gradient - 2 * all.first;
  const double span = 2 * support * width;  // one row times the K x n_1 sum of deltas
  double total = (support + query) * (all.first + 2 * inputs * whole(support));  // X W_0, X X_s'
  total += (steps - 1) * support * span;  // support rows after the first step
  total += steps * support * upper;
  total += query * (span + upper + all.first);  // query rows, and X_q' D_q
  if (problem.operation == Operation::adapt) return tasks * (total + support * all.first);  // W_0
  if (problem.algorithm.flow == Flow::exact) {
    total += query * span + support * all.first;  // into the span, and X_s' R out of it
    total += steps * support * (span + 2 * upper);
  }
  return tasks * total;
}

}  // namespace

Work work(const Problem& problem, Index lanes) {
  if (wants_dual(problem)) return {dual_operations(problem, lanes), true};
  return {operations(problem, PassCosts::padded(problem.net, lanes))};
}

}  // namespace FOMAML_FAST_NAMESPACE::rows
