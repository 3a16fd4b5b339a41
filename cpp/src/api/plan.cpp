#include "api/plan.hpp"

#include <cstring>
#include <limits>

#include "api/workers.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

/// Whether a workspace may be larger than what sizes can count: no machine has a part of that.
template <class T>
bool is_beyond_memory(const Problem& problem) {
  constexpr double kMost = 0x1p60;
  // Parameters and rows, their derivatives and an optimiser's state, at every step.
  constexpr double kCopies = 16;
  auto widths = static_cast<double>(problem.net.inputs());
  for (int l = 0; l < problem.net.depth; ++l) widths += static_cast<double>(problem.net.fan_out(l));
  const auto rows = static_cast<double>(problem.support.total + problem.query.total);
  const double parameters =
      static_cast<double>(problem.tasks) * static_cast<double>(problem.layout.n_params);
  return (parameters + rows * widths) * (problem.algorithm.steps + 2.0) * kCopies * sizeof(T) >
         kMost;
}

/// Operations on the query rows alone, each task at parameters of its own.
struct OfRows {
  const char* name;
  Operation operation;
};
constexpr OfRows kOfRows[] = {{"predict", Operation::predict},
                              {"input_vjp", Operation::input_vjp},
                              {"input_jvp", Operation::input_jvp},
                              {"jet", Operation::jet}};

}  // namespace

template <class T>
PlanReport plan(const Problem& problem, const Execution& execution) {
  PlanReport report;
  report.chosen = choose_engine<T>(problem);
  if (report.chosen < 0) return report;
  const Engine<T> chosen = engine<T>(report.chosen);
  const int workers = worthwhile_workers(problem, execution, chosen.shares_products);
  // Crowds come and go: the call after one must not need a larger workspace than those during it.
  report.workspace_bytes = is_beyond_memory<T>(problem) ? std::numeric_limits<std::size_t>::max()
                                                        : chosen.workspace_bytes(problem, workers);
  report.workers = present_workers(workers);
  return report;
}

template <class T>
Problem planned_problem(const char* operation, const MetaArguments& in, bool weighs_tasks) {
  Problem problem = meta_problem(in);
  for (const OfRows& of : kOfRows) {
    if (std::strcmp(operation, of.name) != 0) continue;
    problem.operation = of.operation;
    if (is_of_jets(of.operation)) problem.jet = {problem.net.inputs(), 2};
    problem.tasks = in.query->tasks;
    problem.support = problem.query;
    problem.support.loss = in.net->spec.loss;
    problem.query = {};
    problem.theta_per_task = true;
    return problem;
  }
  Call<T> call;
  const AlgorithmAt<T> at(*in.algorithm, *in.net, in.rates);
  at.fill(problem, call);
  const bool adapts = std::strcmp(operation, "adapt") == 0;
  problem.weighs_tasks = weighs_tasks && !adapts;
  if (adapts) {
    problem.operation = Operation::adapt;
    problem.query = {};
  }
  return problem;
}

template Problem planned_problem<float>(const char*, const MetaArguments&, bool);
template Problem planned_problem<double>(const char*, const MetaArguments&, bool);
template PlanReport plan<float>(const Problem&, const Execution&);
template PlanReport plan<double>(const Problem&, const Execution&);

}  // namespace FOMAML_FAST_NAMESPACE::api
