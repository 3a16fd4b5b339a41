// What engines execute, for the benchmarks' report: from shapes alone.
#include "api/engines.hpp"
#include "api/operations.hpp"
#include "bindings.hpp"

namespace fomaml_fast_bindings {

namespace {

/// {engine: (operations, whether the first layer is dual)}.
py::dict engine_work(const std::string& order, const std::vector<Index>& sizes, Index tasks,
                     Index support, Index query, int steps, Index lanes) {
  core::NetworkSpec net;
  net.depth = static_cast<int>(sizes.size()) - 1;
  for (std::size_t i = 0; i < sizes.size(); ++i) net.sizes.at(i) = sizes[i];
  const core::Problem problem =
      api::descent_problem(order.c_str(), net, tasks, support, query, steps);
  py::dict all;
  for (int i = 0; i < api::engine_count(); ++i) {
    const core::Work work = api::engine<float>(i).work(problem, lanes);
    all[api::engine_name(i)] = py::make_tuple(work.operations, work.dual);
  }
  return all;
}

}  // namespace

void register_work(py::module_& m) {
  m.def("engine_work", &engine_work, py::arg("order"), py::arg("sizes"), py::arg("tasks"),
        py::arg("support"), py::arg("query"), py::arg("steps"), py::arg("lanes"));
}

}  // namespace fomaml_fast_bindings
