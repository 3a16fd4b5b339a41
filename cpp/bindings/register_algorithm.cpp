#include "bindings.hpp"

namespace fomaml_fast_bindings {

namespace {

Algorithm make_algorithm(const std::string& inner, const std::vector<double>& parameters,
                         double rate, int steps, const std::string& flow) {
  Algorithm algorithm;
  algorithm.spec.inner =
      static_cast<core::InnerId>(index_of(core::kInnerNames, inner, "inner optimiser"));
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    algorithm.spec.inner_parameters.value.at(i) = parameters[i];
  }
  algorithm.spec.steps = steps;
  algorithm.spec.flow = static_cast<core::Flow>(index_of(core::kFlowNames, flow, "gradient"));
  algorithm.rate = rate;
  return algorithm;
}

}  // namespace

void register_algorithm(py::module_& m) {
  py::class_<Algorithm>(m, "Algorithm", py::module_local())
      .def(py::init(&make_algorithm), py::arg("inner"), py::arg("parameters"), py::arg("rate"),
           py::arg("steps"), py::arg("flow"));
}

}  // namespace fomaml_fast_bindings
