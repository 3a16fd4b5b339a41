// The checked rows of many tasks: what a TaskBatch holds two of.
#include "api/step_axis.hpp"
#include "arguments.hpp"
#include "hooks.hpp"
#include "results.hpp"

namespace fomaml_fast_bindings {

namespace {

api::DType dtype_named(const py::object& name) {
  if (name.is_none()) return api::DType::none;
  return py::cast<std::string>(name) == "float64" ? api::DType::float64 : api::DType::float32;
}

struct Names {
  std::string x, y, weights, mask;
};
/// Names of arguments live as long as the module: errors of later calls use them.
const Names& names_of_set(const std::string& set) {
  static const Names* const support =
      new Names{"x_support", "y_support", "weights_support", "mask_support"};
  static const Names* const query = new Names{"x_query", "y_query", "weights_query", "mask_query"};
  static const Names* const one = new Names{"x", "y", "weights", "mask"};
  return set == "support" ? *support : set == "query" ? *query : *one;
}

ExamplesObject make_examples(const std::string& set, const py::object& x, const py::object& y,
                             const py::object& weights, const py::object& mask,
                             const py::object& class_mask, const py::object& dtype_name,
                             const std::string& like, bool forces, const py::object& check_finite) {
  const Names& names = names_of_set(set);
  const api::DType wanted = dtype_named(dtype_name);
  const bool of_query = set == "query";
  Conversion conversion{of_query ? Role::numbers : Role::inputs, wanted,
                        of_query ? Lists::tasks : Lists::tasks_and_steps, forces};
  const Given of_x(names.x.c_str(), x, conversion);
  if (conversion.dtype == api::DType::none) conversion.dtype = of_x->dtype();
  conversion.role = Role::numbers;
  if (!api::StepAxis::is_in(*of_x)) conversion.lists = Lists::tasks;
  const Given of_weights(names.weights.c_str(), weights, conversion);
  conversion.role = Role::targets;
  const Given of_y(names.y.c_str(), y, conversion);
  const Given of_mask(names.mask.c_str(), mask, {Role::flags, api::DType::none, conversion.lists});
  const Given of_classes("class_mask", class_mask, {Role::flags});
  api::ExampleArguments arguments{.x = *of_x,
                                  .y = *of_y,
                                  .weights = *of_weights,
                                  .mask = *of_mask,
                                  .class_mask = *of_classes,
                                  .dtype = wanted,
                                  .like = like == "x_support" ? "x_support"
                                          : like == "theta"   ? "theta"
                                                              : "dtype",
                                  .takes_steps = !of_query,
                                  .takes_single = false,
                                  .check_finite = flag_of(check_finite, "check_finite")};
  api::Fault fault;
  api::StepAxis axis;
  expect(axis.fold(arguments, fault), fault);
  api::ExampleReader reader(arguments);
  expect(reader.measure(fault), fault);
  ExamplesObject made;
  made.memory = std::make_shared<CallMemory>(reader.bytes());
  expect(reader.read(made.memory->data(), made.examples, fault), fault);
  if (made.examples.x == of_x->array().data) made.x = of_x.object();
  if (of_y->given() && made.examples.y == of_y->array().data) made.y = of_y.object();
  return made;
}

/// With the memory that `copy(arena)` takes.
template <class Copy>
ExamplesObject copied(const Copy& copy) {
  ExamplesObject taken;
  core::Arena counting;
  copy(counting);
  taken.memory = std::make_shared<CallMemory>(counting.used());
  core::Arena arena(taken.memory->data());
  taken.examples = copy(arena);
  return taken;
}

ExamplesObject take(const ExamplesObject& from, const py::array_t<Index>& tasks) {
  ExamplesObject taken = copied([&](core::Arena& arena) {
    return api::take_tasks(from.examples, tasks.data(), tasks.size(), arena);
  });
  taken.x = from.examples.shared ? from.x : py::object();
  return taken;
}

/// What has `columns` numbers a row (none: one number without an axis), task by task.
template <class T>
py::object per_task(const py::object& self, const void* data, Index columns, bool read_only) {
  const auto& examples = py::cast<const ExamplesObject&>(self).examples;
  if (data == nullptr) return py::none();
  const auto shape = [&](std::vector<py::ssize_t> lead) {
    if (columns >= 0) lead.push_back(columns);
    return lead;
  };
  const Index width = columns < 0 ? 1 : columns;
  const Index sets = examples.sets(), steps = examples.steps;
  if (!examples.shape.ragged) {
    const Index rows = examples.shape.longest;
    return view_of<T>(data, steps == 0 ? shape({sets, rows}) : shape({sets / steps, steps, rows}),
                      self, read_only);
  }
  py::list all;
  for (Index set = 0; set < sets; ++set) {
    if (steps > 0 && set % steps == 0) all.append(py::list());
    const Index first = examples.offsets[set], rows = examples.offsets[set + 1] - first;
    const py::array view =
        view_of<T>(static_cast<const T*>(data) + first * width, shape({rows}), self, read_only);
    if (steps > 0) {
      py::list(all[all.size() - 1]).append(view);
    } else {
      all.append(view);
    }
  }
  return all;
}

py::object floats_of(const py::object& self, const void* data, Index columns, bool read_only) {
  const auto dtype = py::cast<const ExamplesObject&>(self).examples.dtype;
  return api::visit_float(dtype,
                          [&]<class T>(T) { return per_task<T>(self, data, columns, read_only); });
}

py::object targets_of(const py::object& self) {
  const auto& object = py::cast<const ExamplesObject&>(self);
  const api::Examples& examples = object.examples;
  if (examples.labelled()) return per_task<std::int32_t>(self, examples.y, -1, true);
  return floats_of(self, examples.y, examples.target_columns, false);
}

py::object classes_of(const py::object& self) {
  const auto& examples = py::cast<const ExamplesObject&>(self).examples;
  if (examples.classes == nullptr) return py::none();
  return view_of<bool>(examples.classes, {examples.tasks, examples.class_columns}, self, true);
}

py::object task_weights(const py::object& value, Index tasks, const std::string& dtype,
                        bool forces) {
  const Given weights("task_weights", value,
                      {Role::numbers, dtype_named(py::str(dtype)), Lists::none, forces});
  api::Fault fault;
  expect(api::check_task_weights(*weights, tasks, dtype_named(py::str(dtype)), "x_support", fault),
         fault);
  return py::reinterpret_borrow<py::array>(weights.object()).attr("copy")();
}

void check_match(const ExamplesObject& support, const ExamplesObject& query) {
  api::Fault fault;
  expect(api::match(support.examples, query.examples, fault), fault);
}

}  // namespace

void register_examples(py::module_& m) {
  py::class_<ExamplesObject>(m, "Examples", py::module_local())
      .def(py::init(&make_examples), py::arg("set"), py::arg("x"), py::arg("y").none(true),
           py::arg("weights").none(true), py::arg("mask").none(true),
           py::arg("class_mask").none(true), py::arg("dtype").none(true), py::arg("like"),
           py::arg("forces"), py::arg("check_finite"))
      .def("take", &take, py::arg("tasks"))
      .def(
          "at_step",
          [](const ExamplesObject& from, Index step) {
            return copied(
                [&](core::Arena& arena) { return api::take_step(from.examples, step, arena); });
          },
          py::arg("step"))
      .def_property_readonly("steps", [](const ExamplesObject& o) { return o.examples.steps; })
      .def_property_readonly("tasks", [](const ExamplesObject& o) { return o.examples.tasks; })
      .def_property_readonly(
          "dtype", [](const ExamplesObject& o) { return api::dtype_name(o.examples.dtype); })
      .def_property_readonly("ragged",
                             [](const ExamplesObject& o) { return o.examples.shape.ragged; })
      .def_property_readonly("per_output",
                             [](const ExamplesObject& o) { return o.examples.shape.per_output; })
      .def_property_readonly("rows", [](const ExamplesObject& o) { return o.examples.rows(); })
      .def_property_readonly("columns", [](const ExamplesObject& o) { return o.examples.columns; })
      .def_property_readonly("x",
                             [](const py::object& self) {
                               const auto& e = py::cast<const ExamplesObject&>(self).examples;
                               return floats_of(self, e.x, e.columns, false);
                             })
      .def_property_readonly("y", &targets_of)
      .def_property_readonly("weights",
                             [](const py::object& self) {
                               const auto& e = py::cast<const ExamplesObject&>(self).examples;
                               return floats_of(self, e.weights,
                                                e.weighs_outputs ? e.target_columns : -1, true);
                             })
      .def_property_readonly("mask",
                             [](const py::object& self) {
                               const auto& e = py::cast<const ExamplesObject&>(self).examples;
                               return per_task<bool>(self, e.known, e.target_columns, true);
                             })
      .def_property_readonly("classes", &classes_of);
  m.def("check_match", &check_match, py::arg("support"), py::arg("query"));
  m.def("task_weights", &task_weights, py::arg("value"), py::arg("tasks"), py::arg("dtype"),
        py::arg("forces"));
}

}  // namespace fomaml_fast_bindings
