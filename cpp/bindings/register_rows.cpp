#include <algorithm>

#include "bindings.hpp"

namespace fomaml_fast_bindings {

namespace {

Rows make_rows(const py::array& x, const py::object& y, const py::array_t<Index>& offsets,
               bool shared, Index tasks, Index top_label, const py::object& coefficients,
               const py::object& classes) {
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
    if (!rows.labels) {
      rows.target_columns = targets.shape(targets.ndim() - 1);
      rows.negative = any_negative(targets);
    }
  }
  if (!coefficients.is_none()) {
    rows.coefficients = coefficients;
    rows.coefficients_data = py::cast<py::array>(coefficients).data();
  }
  if (!classes.is_none()) {
    const auto flags = py::cast<py::array>(classes);
    rows.classes = classes;
    rows.classes_data = static_cast<const std::uint8_t*>(flags.data());
    rows.class_columns = flags.shape(1);
  }
  rows.offsets_data = offsets.data();
  rows.columns = x.shape(x.ndim() - 1);
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

/// An int32 copy of labels [tasks, rows] that nobody writes to; none if some do not fit.
std::optional<py::array_t<std::int32_t>> own_labels(const py::array& labels, Index& top) {
  auto copy = new_array<std::int32_t>({labels.shape(0), labels.shape(1)});
  const auto most = copy_labels(labels, copy.mutable_data());
  if (!most) return std::nullopt;
  top = *most;
  py::detail::array_proxy(copy.ptr())->flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  return copy;
}

template <class T>
bool finite(const py::array& array) {
  return core::all_finite(data<T>(array), array.size());
}

/// Rows of stacked plain arrays x [T, n, n_0] and y [T, n, n_L] or labels [T, n]; None where
/// anything is not plain, does not match or is not finite: Python then converts or explains.
py::object stack_plain(const py::object& x_object, const py::object& y_object, bool check_finite) {
  if (!is_plain(x_object)) return py::none();
  const auto x = py::reinterpret_borrow<py::array>(x_object);
  if (x.ndim() != 3 || x.size() == 0) return py::none();
  Index top_label = -1;
  py::object y = y_object;
  if (is_plain(y_object)) {
    const auto values = py::reinterpret_borrow<py::array>(y_object);
    if (values.ndim() != 3 || values.size() == 0 || values.itemsize() != x.itemsize()) {
      return py::none();
    }
  } else if (is_plain_labels(y_object)) {
    const auto labels = py::reinterpret_borrow<py::array>(y_object);
    if (labels.ndim() != 2) return py::none();
    auto copy = own_labels(labels, top_label);
    if (!copy) return py::none();
    y = std::move(*copy);
  } else {
    return py::none();
  }
  const auto targets = py::reinterpret_borrow<py::array>(y);
  if (targets.shape(0) != x.shape(0) || targets.shape(1) != x.shape(1)) return py::none();
  if (check_finite) {
    const bool all = dispatch(
        x, [&]<class T>(T) { return finite<T>(x) && (top_label >= 0 || finite<T>(targets)); });
    if (!all) return py::none();
  }
  auto offsets = new_array<Index>({x.shape(0) + 1});
  for (Index t = 0; t <= x.shape(0); ++t) offsets.mutable_data()[t] = t * x.shape(1);
  return py::cast(make_rows(x, y, offsets, false, x.shape(0), top_label, py::none(), py::none()));
}

/// Whether two sets of rows are of the same tasks, dtype and columns. Labels and numbers may meet:
/// each set has a loss of its own.
bool match(const Rows& support, const Rows& query) {
  return support.tasks == query.tasks && support.is_double == query.is_double &&
         support.columns == query.columns &&
         (support.labels || query.labels || support.target_columns == query.target_columns);
}

}  // namespace

core::LossSpec loss_for(const Network& net, const Rows& rows,
                        const std::optional<core::LossSpec>& instead) {
  const core::LossSpec loss = instead.value_or(net.spec.loss);
  const bool numbers = !rows.labels && rows.y_data != nullptr;
  return numbers ? core::of_numbers(loss) : loss;
}

bool Rows::fit(const Network& net, const core::LossSpec& loss, bool theta_is_double,
               Index context) const {
  const core::NetworkSpec& spec = net.spec;
  if (is_double != theta_is_double || columns != spec.inputs() - context) return false;
  const core::LossFacts& facts = core::facts_of(loss);
  if (classes_data != nullptr && (class_columns != spec.outputs() || !facts.masks_classes)) {
    return false;
  }
  if (facts.targets == core::Targets::labels) return labels && top_label < spec.outputs();
  const bool probabilities = facts.targets == core::Targets::probabilities;
  return !labels && target_columns == spec.outputs() && !(probabilities && negative);
}

void register_rows(py::module_& m) {
  py::class_<Rows>(m, "Rows", py::module_local())
      .def(py::init(&make_rows), py::arg("x"), py::arg("y").none(true), py::arg("offsets"),
           py::arg("shared"), py::arg("tasks"), py::arg("top_label"),
           py::arg("coefficients").none(true), py::arg("classes").none(true),
           "x [rows, n_0]; y [rows, n_L], int32 [rows] or None; offsets int64 [sets + 1]; "
           "coefficients [rows] or None; classes uint8 [tasks, n_L] or None")
      .def_readonly("x", &Rows::x)
      .def_readonly("y", &Rows::y)
      .def_readonly("offsets", &Rows::offsets)
      .def_readonly("tasks", &Rows::tasks)
      .def_readonly("top_label", &Rows::top_label);
  m.def("stack_plain", &stack_plain, py::arg("x"), py::arg("y"), py::arg("check_finite"));
  m.def("match", &match, py::arg("support"), py::arg("query"));
}

}  // namespace fomaml_fast_bindings
