#include "bindings.hpp"

namespace fomaml_fast_bindings {

namespace {

api::Network make_network(const std::vector<Index>& sizes, const std::vector<Named>& activations,
                          const std::vector<std::string>& norms, const Named& loss, bool has_loss) {
  core::NetworkSpec spec;
  spec.depth = static_cast<int>(sizes.size()) - 1;
  for (std::size_t i = 0; i < sizes.size(); ++i) spec.sizes[i] = sizes[i];
  for (std::size_t l = 0; l < activations.size(); ++l) {
    const auto& [name, options] = activations[l];
    const int index = index_of(core::kActivationNames, name, "activation");
    spec.activations[l] = {static_cast<core::ActivationId>(index), parameters_of(options)};
  }
  for (std::size_t l = 0; l < norms.size(); ++l) {
    spec.norms[l] = static_cast<core::Norm>(index_of(core::kNormNames, norms[l], "norm"));
  }
  spec.loss = make_loss(loss);
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

core::LossSpec make_loss(const Named& loss) {
  const int index = index_of(core::kLossNames, loss.first, "loss");
  return {static_cast<core::LossId>(index), parameters_of(loss.second)};
}

void register_network(py::module_& m) {
  py::class_<api::Network>(m, "Network", py::module_local())
      .def(py::init(&make_network), py::arg("sizes"), py::arg("activations"), py::arg("norms"),
           py::arg("loss"), py::arg("has_loss"),
           "activations and loss: (name, values of its options)")
      .def_property_readonly("n_params", &api::Network::n_params)
      .def_property_readonly("weight_offsets", offsets(&core::LayerOffsets::weight))
      .def_property_readonly("bias_offsets", offsets(&core::LayerOffsets::bias))
      .def_property_readonly("gain_offsets", offsets(&core::LayerOffsets::gain))
      .def_property_readonly("shift_offsets", offsets(&core::LayerOffsets::shift));
}

}  // namespace fomaml_fast_bindings
