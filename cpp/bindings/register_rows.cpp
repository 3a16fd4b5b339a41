#include "bindings.hpp"

namespace fomaml_fast_bindings {

namespace {

Rows make_rows(const py::array& x, const py::object& y, const py::array_t<Index>& offsets,
               bool shared, Index tasks, Index top_label) {
  Rows rows;
  rows.x = x;
  rows.y = y;
  rows.offsets = offsets;
  rows.x_data = x.data();
  rows.is_double = is_double(x);
  if (!y.is_none()) {
    const auto targets = py::cast<py::array>(y);
    rows.labels = targets.dtype().kind() == 'i';
    rows.y_data = targets.data();
    if (!rows.labels) rows.target_columns = targets.shape(1);
  }
  rows.offsets_data = offsets.data();
  rows.columns = x.shape(1);
  rows.top_label = top_label;
  rows.shared = shared;
  rows.tasks = tasks;
  const Index sets = offsets.size() - 1;
  for (Index t = 0; t < sets; ++t) {
    const Index count = rows.offsets_data[t + 1] - rows.offsets_data[t];
    rows.shape.longest = std::max(rows.shape.longest, count);
    rows.shape.ragged = rows.shape.ragged || count != rows.offsets_data[1];
  }
  rows.shape.total = shared ? tasks * rows.shape.longest : rows.offsets_data[sets];
  return rows;
}

}  // namespace

bool Rows::fit(const Network& net, bool theta_is_double) const {
  const core::NetworkSpec& spec = net.spec;
  if (is_double != theta_is_double || columns != spec.inputs()) return false;
  if (spec.targets() == core::Targets::labels) return labels && top_label < spec.outputs();
  return !labels && target_columns == spec.outputs();
}

void register_rows(py::module_& m) {
  py::class_<Rows>(m, "Rows", py::module_local())
      .def(py::init(&make_rows), py::arg("x"), py::arg("y").none(true), py::arg("offsets"),
           py::arg("shared"), py::arg("tasks"), py::arg("top_label"),
           "x [rows, n_0]; y [rows, n_L], int32 [rows] or None; offsets int64 [sets + 1]");
}

}  // namespace fomaml_fast_bindings
