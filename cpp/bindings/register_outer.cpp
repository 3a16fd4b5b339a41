#include "outer_object.hpp"

namespace fomaml_fast_bindings {

namespace {

OuterObject make_outer(const std::string& name, const std::vector<double>& options,
                       double clip_norm) {
  OuterObject outer;
  outer.spec.id = static_cast<core::OuterId>(index_of(core::kOuterNames, name, "outer optimiser"));
  outer.spec.parameters = parameters_of(options);
  outer.spec.clip_norm = clip_norm;
  return outer;
}

}  // namespace

void register_outer(py::module_& m) {
  py::class_<OuterObject>(m, "Outer", py::module_local())
      .def(py::init(&make_outer), py::arg("name"), py::arg("options"), py::arg("clip_norm"))
      .def_property_readonly(
          "n_moments", [](const OuterObject& outer) { return core::outer_moments(outer.spec); });
}

}  // namespace fomaml_fast_bindings
