#include "bindings.hpp"

namespace fomaml_fast_bindings {

namespace {

api::Network make_network(const std::vector<Index>& sizes,
                          const std::vector<std::string>& activations,
                          const std::vector<std::string>& norms, const std::string& loss,
                          double loss_parameter, bool has_loss) {
  core::NetworkSpec spec;
  spec.depth = static_cast<int>(sizes.size()) - 1;
  for (std::size_t i = 0; i < sizes.size(); ++i) spec.sizes[i] = sizes[i];
  for (std::size_t l = 0; l < activations.size(); ++l) {
    spec.activations[l] = static_cast<core::ActivationId>(
        index_of(core::kActivationNames, activations[l], "activation"));
  }
  for (std::size_t l = 0; l < norms.size(); ++l) {
    spec.norms[l] = static_cast<core::Norm>(index_of(core::kNormNames, norms[l], "norm"));
  }
  spec.loss = make_loss(loss, loss_parameter);
  return {spec, core::Layout{spec}, has_loss};
}

/// One kind of offset of every layer, as a property.
auto offsets(Index core::LayerOffsets::* kind) {
  return [kind](const api::Network& net) {
    std::vector<Index> all;
    for (int l = 0; l < net.spec.depth; ++l) all.push_back(net.layout.layer(net.spec, l).*kind);
    return all;
  };
}

}  // namespace

core::LossSpec make_loss(const std::string& name, double parameter) {
  return {static_cast<core::LossId>(index_of(core::kLossNames, name, "loss")), {parameter}};
}

void register_network(py::module_& m) {
  py::class_<api::Network>(m, "Network", py::module_local())
      .def(py::init(&make_network), py::arg("sizes"), py::arg("activations"), py::arg("norms"),
           py::arg("loss"), py::arg("loss_parameter"), py::arg("has_loss"))
      .def_property_readonly("n_params", &api::Network::n_params)
      .def_property_readonly("weight_offsets", offsets(&core::LayerOffsets::weight))
      .def_property_readonly("bias_offsets", offsets(&core::LayerOffsets::bias))
      .def_property_readonly("gain_offsets", offsets(&core::LayerOffsets::gain))
      .def_property_readonly("shift_offsets", offsets(&core::LayerOffsets::shift));
  m.def("loss_takes_labels", [](const std::string& name) {
    return make_loss(name, 0).targets() == core::Targets::labels;
  });
}

}  // namespace fomaml_fast_bindings
