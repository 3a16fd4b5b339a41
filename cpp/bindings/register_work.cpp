// What engines execute, for the benchmarks' report: from shapes alone.
#include "bindings.hpp"

namespace fomaml_fast_bindings {

namespace {

/// {engine: (operations, whether the first layer is dual)} of plain gradient descent by tasks of
/// equal length, or of Hessian-vector products of their support sets.
py::dict engine_work(const std::string& order, const std::vector<Index>& sizes, Index tasks,
                     Index support, Index query, int steps, Index lanes) {
  core::Problem problem;
  problem.net.depth = static_cast<int>(sizes.size()) - 1;
  for (std::size_t i = 0; i < sizes.size(); ++i) problem.net.sizes.at(i) = sizes[i];
  problem.layout = core::Layout{problem.net};
  problem.tasks = tasks;
  problem.support.longest = support;
  problem.support.total = tasks * support;
  problem.query.longest = query;
  problem.query.total = tasks * query;
  problem.operation = order == "hvp" ? core::Operation::hvp : core::Operation::meta_gradient;
  problem.algorithm.flow = order == "exact" ? core::Flow::exact : core::Flow::first;
  problem.algorithm.steps = steps;
  py::dict all;
  for (int i = 0; i < core::api::engine_count(); ++i) {
    const core::Work work = core::api::engine<float>(i).work(problem, lanes);
    all[core::api::engine_name(i)] = py::make_tuple(work.operations, work.dual);
  }
  return all;
}

}  // namespace

void register_work(py::module_& m) {
  m.def("engine_work", &engine_work, py::arg("order"), py::arg("sizes"), py::arg("tasks"),
        py::arg("support"), py::arg("query"), py::arg("steps"), py::arg("lanes"));
}

}  // namespace fomaml_fast_bindings
