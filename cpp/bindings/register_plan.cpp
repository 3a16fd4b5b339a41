// What a call would do: which engine, why, and with how much.
#include "api/operations.hpp"
#include "api/plan.hpp"
#include "bindings.hpp"

namespace fomaml_fast_bindings {

namespace {

/// (name, why it cannot or None, estimated cost) of every engine.
template <class T>
py::list engines_for(const core::Problem& problem) {
  py::list all;
  for (int i = 0; i < core::api::engine_count(); ++i) {
    const core::Engine<T> engine = core::api::engine<T>(i);
    const char* reason = engine.unsupported(problem);
    all.append(py::make_tuple(core::api::engine_name(i),
                              reason == nullptr ? py::object(py::none()) : py::str(reason),
                              engine.cost(problem)));
  }
  return all;
}

py::tuple plan(const std::string& operation, const Network& net, const Rows& support,
               const Rows& query, const Algorithm& algorithm, const py::object& rates,
               bool weighs_tasks, int threads) {
  return dispatch(py::cast<py::array>(support.x), [&]<class T>(T) {
    core::Problem problem = problem_of(net, core::Operation::predict);
    core::Call<T> call;
    const AlgorithmCall<T> at(algorithm, rates, net);
    if (operation == "predict") {  // at the parameters that `adapt` gave every task
      problem.tasks = query.tasks;
      problem.support = query.shape_with(loss_for(net, query));
      problem.theta_per_task = true;
    } else {
      problem = meta_problem(net, support, query, algorithm);
      at.fill(problem, call);
      problem.weighs_tasks = weighs_tasks;
      if (operation == "adapt") {
        problem.operation = core::Operation::adapt;
        problem.query = {};
        problem.weighs_tasks = false;
      }
    }
    core::Execution execution;
    execution.exact = threads > 0;
    execution.workers = threads > 0 ? threads : core::parallel::default_workers();
    const core::api::PlanReport report = core::api::plan<T>(problem, execution);
    const char* chosen = report.chosen < 0 ? "" : core::api::engine_name(report.chosen);
    return py::make_tuple(chosen, core::api::forced_engine() >= 0, report.workers,
                          report.workspace_bytes, core::api::operations(problem),
                          engines_for<T>(problem));
  });
}

}  // namespace

void register_plan(py::module_& m) {
  m.def("plan", &plan, py::arg("operation"), py::arg("net"), py::arg("support"), py::arg("query"),
        py::arg("algorithm"), py::arg("rates").none(true), py::arg("weighs_tasks"),
        py::arg("threads"),
        "(engine or '', whether it was forced, workers, workspace bytes, nominal operations, "
        "[(engine, why it cannot or None, estimated cost)])");
}

}  // namespace fomaml_fast_bindings
