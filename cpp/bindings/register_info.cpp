#include <cstdlib>

#include "api/build.hpp"
#include "api/peak.hpp"
#include "bindings.hpp"

namespace fomaml_fast_bindings {

namespace {

py::tuple engine_names() {
  py::tuple names(api::engine_count());
  for (int i = 0; i < api::engine_count(); ++i) {
    names[static_cast<std::size_t>(i)] = api::engine_name(i);
  }
  return names;
}

void force_engine(const std::string& name) {
  if (name.empty()) return api::force_engine(-1);
  for (int i = 0; i < api::engine_count(); ++i) {
    if (name == api::engine_name(i)) return api::force_engine(i);
  }
  throw py::value_error("unknown engine '" + name + "'");
}

}  // namespace

void register_info(py::module_& m) {
  const char* engine = std::getenv("FOMAML_FAST_ENGINE");
  if (engine != nullptr && api::forced_engine() < 0) {
    throw py::import_error("FOMAML_FAST_ENGINE='" + std::string(engine) + "' is not an engine");
  }
  m.attr("isa") = FOMAML_FAST_ISA_NAME;
  m.attr("version") = FOMAML_FAST_VERSION;
  m.attr("compiler") = api::compiler();
  m.attr("eigen") = api::eigen_version();
  m.attr("threads_backend") = core::parallel::backend();
  m.attr("vector_bytes") = core::kVectorBytes;
  m.attr("max_layers") = core::kMaxLayers;
  m.attr("activation_names") = names_of(core::kActivationNames);
  m.attr("norm_names") = names_of(core::kNormNames);
  m.attr("loss_names") = names_of(core::kLossNames);
  m.attr("inner_names") = names_of(core::kInnerNames);
  m.attr("outer_names") = names_of(core::kOuterNames);
  m.attr("flow_names") = names_of(core::kFlowNames);
  m.attr("engine_names") = engine_names();
  m.def("multiply_add_gflops", &api::multiply_add_gflops<float>, py::arg("threads"),
        py::arg("milliseconds"), py::call_guard<py::gil_scoped_release>());
  m.def("default_threads", &core::parallel::default_workers);
  m.def("requested_threads", &core::parallel::requested_workers);
  m.def("force_engine", &force_engine, "Force an engine by name; '' lets the planner choose.");
  m.def("forced_engine", [] {
    const int index = api::forced_engine();
    return index < 0 ? std::string() : std::string(api::engine_name(index));
  });
}

}  // namespace fomaml_fast_bindings
