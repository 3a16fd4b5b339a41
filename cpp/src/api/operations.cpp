#include "api/operations.hpp"

#include <cstring>

#include "engines/work.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

double operations(const Problem& problem) {
  return FOMAML_FAST_NAMESPACE::operations(problem, PassCosts::nominal(problem.net));
}

Problem descent_problem(const char* order, const NetworkSpec& net, Index tasks, Index support,
                        Index query, int steps) {
  const bool products = std::strcmp(order, "hvp") == 0;
  Problem problem{.operation = products ? Operation::hvp : Operation::meta_gradient,
                  .net = net,
                  .layout = Layout{net},
                  .tasks = tasks};
  problem.support.longest = support;
  problem.support.total = tasks * support;
  problem.query.longest = query;
  problem.query.total = tasks * query;
  problem.algorithm.flow = std::strcmp(order, "exact") == 0 ? Flow::exact : Flow::first;
  problem.algorithm.steps = steps;
  return problem;
}

}  // namespace FOMAML_FAST_NAMESPACE::api
