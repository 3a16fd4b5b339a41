#include "bindings.hpp"

namespace fomaml_fast_bindings {

namespace {

Outer make_outer(const std::string& name, const std::vector<double>& options, double clip_norm) {
  Outer outer;
  outer.spec.id = static_cast<core::OuterId>(index_of(core::kOuterNames, name, "outer optimiser"));
  outer.spec.parameters = parameters_of(options);
  outer.spec.clip_norm = clip_norm;
  return outer;
}

}  // namespace

void register_outer(py::module_& m) {
  py::class_<Outer>(m, "Outer", py::module_local())
      .def(py::init(&make_outer), py::arg("name"), py::arg("options"), py::arg("clip_norm"))
      .def_property_readonly("n_moments",
                             [](const Outer& outer) { return core::outer_moments(outer.spec); });
}

}  // namespace fomaml_fast_bindings
