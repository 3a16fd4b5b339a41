// What a call would do: which engine, why, and with how much.
#include "api/directions.hpp"
#include "api/head.hpp"
#include "api/operations.hpp"
#include "api/plan.hpp"
#include "hooks.hpp"
#include "outer_object.hpp"
#include "rates.hpp"
#include "results.hpp"

namespace fomaml_fast_bindings {

namespace {

/// (name, why it cannot or None, estimated cost) of every engine.
template <class T>
py::list engines_for(const core::Problem& problem) {
  py::list all;
  for (int i = 0; i < api::engine_count(); ++i) {
    const char* reason = api::engine<T>(i).unsupported(problem);
    all.append(py::make_tuple(api::engine_name(i),
                              reason == nullptr ? py::object(py::none()) : py::str(reason),
                              api::engine<T>(i).cost(problem)));
  }
  return all;
}

py::tuple plan(const std::string& operation, const api::Network& net, const ExamplesObject& support,
               const ExamplesObject& query, const AlgorithmObject& algorithm, bool weighs_tasks,
               const py::handle& threads) {
  const api::DType dtype = support.examples.dtype;
  const GivenRates rates("rates", py::none(), algorithm, net, dtype);
  const Index context = algorithm.algorithm.spec.context;
  const int workers = threads_of(threads);
  api::Fault fault;
  expect(api::fits(algorithm.algorithm, net, *rates, dtype, fault), fault);
  expect(api::fits(support.examples, net, nullptr, context, fault), fault);
  const bool adapts = operation == "meta_grad" || operation == "adapt";
  expect(!adapts || api::head_fits(algorithm.algorithm, net, support.examples, fault), fault);
  expect(!adapts || api::match(support.examples, algorithm.algorithm.spec, fault), fault);
  expect(api::fits(query.examples, net, algorithm.algorithm.loss_of_query(), context, fault),
         fault);
  if (operation == "jet") expect(api::has_jets(net.spec, "operation", fault), fault);
  return api::visit_float(dtype, [&]<class T>(T) -> py::tuple {
    const api::MetaArguments arguments{.net = &net,
                                       .algorithm = &algorithm.algorithm,
                                       .support = &support.examples,
                                       .query = &query.examples,
                                       .rates = *rates};
    const core::Problem problem =
        api::planned_problem<T>(operation.c_str(), arguments, weighs_tasks);
    const api::PlanReport report = api::plan<T>(problem, execution_of(workers));
    const char* chosen = report.chosen < 0 ? "" : api::engine_name(report.chosen);
    return py::make_tuple(chosen, api::forced_engine() >= 0, report.workers, report.workspace_bytes,
                          api::operations(problem), engines_for<T>(problem));
  });
}

}  // namespace

void register_plan(py::module_& m) {
  m.def("plan", &plan, py::arg("operation"), py::arg("net"), py::arg("support"), py::arg("query"),
        py::arg("algorithm"), py::arg("weighs_tasks"), py::arg("threads"),
        "(engine or '', whether it was forced, workers, workspace bytes, nominal operations, "
        "[(engine, why it cannot or None, estimated cost)])");
}

}  // namespace fomaml_fast_bindings
