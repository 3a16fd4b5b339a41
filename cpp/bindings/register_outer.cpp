#include "outer_object.hpp"

namespace fomaml_fast_bindings {

namespace {

std::unique_ptr<OuterObject> make_outer(const std::string& name, const std::vector<double>& options,
                                        double clip_norm, const std::string& which,
                                        const std::vector<int>& layers) {
  auto made = std::make_unique<OuterObject>();
  core::OuterSpec& spec = made->outer.spec;
  spec.id = static_cast<core::OuterId>(index_of(core::kOuterNames, name, "outer optimiser"));
  spec.parameters = parameters_of(options);
  spec.clip_norm = clip_norm;
  made->layers = layers;
  made->outer.layers = layer_choice(which, made->layers, "layers");
  return made;
}

/// Raises where the optimiser is none for that network.
void check_outer(const OuterObject& outer, const py::handle& lr, const api::Network& net) {
  const OuterRates rates(lr);
  api::Fault fault;
  expect(api::fits(rates.arguments(outer, 1, {}), net, fault), fault);
}

}  // namespace

void register_outer(py::module_& m) {
  py::class_<OuterObject>(m, "Outer", py::module_local())
      .def(py::init(&make_outer), py::arg("name"), py::arg("options"), py::arg("clip_norm"),
           py::arg("which"), py::arg("layers"))
      .def_property_readonly("n_moments", [](const OuterObject& outer) {
        return core::outer_moments(outer.outer.spec);
      });
  m.def("check_outer", &check_outer, py::arg("outer"), py::arg("lr"), py::arg("net"));
}

}  // namespace fomaml_fast_bindings
