#include "api/step_axis.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

bool wrong(Fault& fault, Reason reason, const Argument& field) {
  fault.reason = reason;
  fault.name = field.name;
  if (field.count > 0) fault.shape = field.array().shape;
  return false;
}

bool wrong_count(Fault& fault, Reason reason, const Argument& field, Index wanted, Index got) {
  fault.count = wanted;
  fault.got = got;
  return wrong(fault, reason, field);
}

struct Axes {
  Index tasks, steps;
};

/// A list of lists becomes one list.
bool fold_lists(const Axes& axes, bool of_inputs, Argument& field, Fault& fault) {
  if (field.list_count != axes.tasks) {
    return wrong_count(fault, Reason::task_count, field, axes.tasks, field.list_count);
  }
  for (Index task = 0; task < axes.tasks; ++task) {
    if (field.lists[task] == axes.steps) continue;
    fault.item = task;
    return wrong_count(fault, of_inputs ? Reason::step_counts : Reason::step_list_count, field,
                       axes.steps, field.lists[task]);
  }
  field.lists = nullptr;
  return true;
}

bool fold_array(const Axes& axes, Argument& field, Array& folded, Fault& fault) {
  folded = field.array();
  Shape& shape = folded.shape;
  if (shape.axes < 3 || shape.axes > Shape::kMostAxes || shape[0] != axes.tasks ||
      shape[1] != axes.steps) {
    // Labels, weights and masks may do without an axis of outputs.
    fault.wanted = {shape.axes == 4 ? 4 : 3, {axes.tasks, axes.steps, Shape::rows, Shape::outputs}};
    return wrong(fault, Reason::step_axis, field);
  }
  shape.lengths[0] *= shape.lengths[1];
  std::copy(shape.lengths.begin() + 2, shape.lengths.end(), shape.lengths.begin() + 1);
  --shape.axes;
  field.arrays = &folded;
  return true;
}

}  // namespace

bool StepAxis::fold_fields(ExampleArguments& rows, Fault& fault) {
  Argument& x = rows.x;
  const Axes axes{x.nested() ? x.list_count : x.array().shape[0],
                  x.nested() ? x.lists[0] : x.array().shape[1]};
  fault.other = x.name;
  if (axes.steps == 0 && !x.nested()) return wrong(fault, Reason::no_step, x);
  Arrays& folded = folded_.emplace();
  std::size_t place = 0;
  for (Argument* const field : {&x, &rows.y, &rows.weights, &rows.mask}) {
    if (!field->given()) continue;
    if (field->listed && !field->nested()) return wrong(fault, Reason::step_lists, *field);
    const bool folds = field->nested() ? fold_lists(axes, field == &x, *field, fault)
                                       : fold_array(axes, *field, folded.at(place++), fault);
    if (!folds) return false;
    field->steps = axes.steps;
  }
  rows.steps = axes.steps;
  return true;
}

}  // namespace FOMAML_FAST_NAMESPACE::api
