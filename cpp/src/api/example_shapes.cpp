// ExampleReader's first stroke: shapes and dtypes.
#include "api/example_reader.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

bool fail(Fault& fault, Reason reason, const Argument& argument, Index item = -1) {
  fault.reason = reason;
  fault.name = argument.name;
  fault.item = argument.listed ? item : -1;
  fault.steps = argument.steps;
  if (item >= 0 || argument.count > 0) {
    const Array& array = argument.arrays[argument.listed && item >= 0 ? item : 0];
    fault.dtype = array.dtype;
    fault.shape = array.shape;
  }
  return false;
}

bool wrong_shape(Fault& fault, Reason reason, const Argument& argument, const Shape& wanted,
                 Index item = -1) {
  fault.wanted = wanted;
  return fail(fault, reason, argument, item);
}

/// Floats of one dtype: that of `like`.
bool check_floats(const Argument& argument, DType dtype, const char* like, Fault& fault) {
  for (Index i = 0; i < argument.count; ++i) {
    const DType own = argument.arrays[i].dtype;
    if (!is_float(own)) return fail(fault, Reason::not_float, argument, i);
    if (dtype == DType::none || own == dtype) continue;
    fault.other = like;
    fault.like = dtype;
    return fail(fault, Reason::dtype_differs, argument, i);
  }
  return true;
}

bool check_flags(const Argument& argument, Fault& fault) {
  for (Index i = 0; i < argument.count; ++i) {
    if (argument.arrays[i].dtype != DType::boolean) {
      return fail(fault, Reason::not_bool, argument, i);
    }
  }
  return true;
}

bool same(const Shape& one, const Shape& other) {
  if (one.axes != other.axes) return false;
  for (int axis = 0; axis < one.axes; ++axis) {
    if (one[axis] != other[axis]) return false;
  }
  return true;
}

/// With an axis of that length behind, if it is not 0.
Shape with_axis(Shape shape, Index length) {
  if (length > 0) shape.lengths[static_cast<std::size_t>(shape.axes++)] = length;
  return shape;
}

}  // namespace

bool ExampleReader::measure(Fault& fault) {
  if (!measure_inputs(fault)) return false;
  if (empty_) return measure_context(fault) && measure_columns(fault);
  if (in_.wants_targets && !measure_targets(fault)) return false;
  const bool plain =
      !in_.weights.given() && !in_.mask.given() && !in_.class_mask.given() && !in_.context.given();
  return plain ||
         (measure_flags_and_weights(fault) && measure_context(fault) && measure_classes(fault));
}

bool ExampleReader::measure_inputs(Fault& fault) {
  const Argument& x = in_.x;
  if (!x.given()) return fail(fault, Reason::missing, x);
  const DType dtype = in_.dtype == DType::none && x.count > 0 ? x.dtype() : in_.dtype;
  const char* const like = in_.dtype == DType::none ? x.name : in_.like;
  if (!check_floats(x, dtype, like, fault)) return false;
  if (x.listed) {
    sets_ = x.count;
    const Array& first = x.array();
    columns_ = first.shape.axes == 2 ? first.shape[1] : 0;
    for (Index t = 0; t < sets_; ++t) {
      const Shape& shape = x.arrays[t].shape;
      if (shape.axes != 2 || shape[1] != columns_) {
        const Index wanted = first.shape.axes == 2 ? columns_ : in_.inputs;
        const bool steps = in_.takes_steps && in_.steps == 0 && shape.axes == 3;
        return wrong_shape(fault, steps ? Reason::step_items : Reason::shape, x,
                           {2, {Shape::rows, wanted < 0 ? Shape::columns : wanted}}, t);
      }
      total_ += shape[0];
      ragged_ = ragged_ || shape[0] != first.shape[0];
    }
    rows_ = first.shape[0];
  } else {
    const Shape& shape = x.array().shape;
    one_set_ = single_ = in_.takes_single && shape.axes == 2;
    if (!one_set_ && shape.axes != 3) {
      fault.count = in_.inputs;
      constexpr Reason kReasons[2][2] = {{Reason::stack_shape, Reason::steps_shape},
                                         {Reason::inputs_shape, Reason::inputs_steps_shape}};
      return fail(fault, kReasons[in_.takes_single ? 1 : 0][in_.takes_steps ? 1 : 0], x);
    }
    columns_ = shape.last();
    sets_ = one_set_ ? 1 : shape[0];
    rows_ = shape[one_set_ ? 0 : 1];
    total_ = sets_ * rows_;
  }
  out_sets_ = sets_;
  tasks_ = sets_ / sets_of_task();
  if (in_.takes_empty && !x.listed && total_ == 0) {
    empty_ = true;
    return true;
  }
  if (sets_ == 0) return fail(fault, Reason::no_task, x);
  for (Index t = 0; t < sets_; ++t) {
    if (count(t) > 0) continue;
    fault.set = t;
    return fail(fault, Reason::no_rows, x);
  }
  return true;
}

/// Of rows that nobody will look at again.
bool ExampleReader::measure_columns(Fault& fault) const {
  if (in_.context.given() || in_.inputs < 0 || columns_ == in_.inputs) return true;
  fault.count = in_.inputs;
  fault.got = columns_;
  fault.text = "the network's inputs";
  return fail(fault, Reason::columns, in_.x);
}

bool ExampleReader::no_such_rows(const Argument& field, Index set, const Array& got,
                                 Fault& fault) const {
  fault.other = in_.x.name;
  fault.set = set;
  fault.steps = in_.steps;
  fault.got = got.shape[field.listed || one_set_ ? 0 : 1];
  fault.count = count(set);
  fault.name = field.name;
  fault.reason = Reason::row_count;
  return false;
}

bool ExampleReader::measure_rows(const Argument& field, const char* entries, Index outputs,
                                 Fault& fault) const {
  if (field.listed) {
    if (field.count != sets_) {
      fault.other = in_.x.name;
      fault.count = sets_;
      fault.got = field.count;
      return fail(fault, Reason::task_count, field);
    }
    for (Index t = 0; t < sets_; ++t) {
      const Shape wanted = with_axis({1, {count(t)}}, outputs);
      const Shape& shape = field.arrays[t].shape;
      if (same(shape, wanted)) continue;
      const bool labels = is_integer(field.dtype()) && shape.axes != 1;
      fault.text = "labels of rows";
      return wrong_shape(fault, labels ? Reason::labels_axes : Reason::shape, field, wanted, t);
    }
    return true;
  }
  const Shape& shape = field.array().shape;
  const bool labels = is_integer(field.dtype()) && shape.axes != (one_set_ ? 1 : 2);
  const Reason reason = labels ? Reason::labels_axes : Reason::rows_shape;
  const Shape wanted = with_axis(one_set_ ? Shape{1, {rows_}} : Shape{2, {sets_, rows_}}, outputs);
  if (same(shape, wanted) && !ragged_) return true;
  const char* const one = outputs > 0 ? "one for each row and output" : "one for each row";
  fault.text = one_set_ ? one : entries;
  if (!ragged_) return wrong_shape(fault, reason, field, wanted);
  fault.other = in_.x.name;
  return fail(fault, Reason::not_listed, field);
}

bool ExampleReader::measure_targets(Fault& fault) {
  const Argument& y = in_.y;
  if (!y.given()) return fail(fault, Reason::missing, y);
  for (Index i = 0; i < y.count; ++i) {
    const DType dtype = y.arrays[i].dtype;
    if (dtype == DType::boolean) return fail(fault, Reason::bool_targets, y, i);
    if (is_float(dtype) == is_float(y.dtype())) continue;
    fault.at = {1, {i}};
    fault.like = y.dtype();
    fail(fault, Reason::mixed_targets, y, i);
    fault.item = -1;
    return false;
  }
  if (is_float(y.dtype())) return measure_numbers(y, fault);
  return measure_rows(y, "labels of tasks and rows", 0, fault);
}

bool ExampleReader::measure_numbers(const Argument& y, Fault& fault) {
  if (!check_floats(y, in_.x.dtype(), in_.x.name, fault)) return false;
  const Shape& first = y.array().shape;
  if (y.listed) {
    for (Index t = 0; t < y.count; ++t) {
      const Shape& shape = y.arrays[t].shape;
      if (shape.axes == 1) {
        return wrong_shape(fault, Reason::targets_shape, y, {2, {Shape::rows, Shape::outputs}}, t);
      }
      if (shape.axes != 2 || shape[1] != first.last()) {
        return wrong_shape(fault, Reason::shape, y, {2, {Shape::rows, first.last()}}, t);
      }
    }
  } else {
    const int axes = one_set_ ? 2 : 3;
    if (first.axes != axes) {
      const Reason reason = first.axes == axes - 1 ? Reason::targets_shape : Reason::shape;
      return wrong_shape(fault, reason, y,
                         one_set_ ? Shape{2, {Shape::rows, Shape::outputs}}
                                  : Shape{3, {Shape::tasks, Shape::rows, Shape::outputs}});
    }
  }
  const Index held = y.listed ? y.count : one_set_ ? 1 : first[0];
  if (held != sets_) {
    fault.other = in_.x.name;
    fault.count = sets_;
    fault.got = held;
    return fail(fault, Reason::task_count, y);
  }
  for (Index t = 0; t < (y.listed || in_.x.listed ? sets_ : 1); ++t) {
    const Array& array = array_of(y, t);
    if (array.shape[array.shape.axes - 2] != count(t)) return no_such_rows(y, t, array, fault);
  }
  return true;
}

/// Whether a field has an axis of outputs behind that of the rows: how long it has to be.
bool ExampleReader::measure_outputs(const Argument& field, Index& outputs, Fault& fault) const {
  const int axes_of_rows = field.listed || one_set_ ? 1 : 2;
  if (!in_.wants_targets || field.array().shape.axes != axes_of_rows + 1) return true;
  if (is_float(in_.y.dtype())) {
    outputs = in_.y.array().shape.last();
    return true;
  }
  fault.other = in_.y.name;
  const Shape rows = field.listed || one_set_ ? Shape{1, {count(0)}} : Shape{2, {sets_, rows_}};
  return wrong_shape(fault, Reason::outputs_want_numbers, field, rows, 0);
}

bool ExampleReader::measure_flags_and_weights(Fault& fault) {
  if (in_.mask.given()) {
    if (!check_flags(in_.mask, fault) || !measure_outputs(in_.mask, mask_outputs_, fault)) {
      return false;
    }
    const char* const flags =
        mask_outputs_ > 0 ? "flags of tasks, rows and outputs" : "flags of tasks and rows";
    if (!measure_rows(in_.mask, flags, mask_outputs_, fault)) return false;
  }
  if (!in_.weights.given()) return true;
  if (!check_floats(in_.weights, in_.x.dtype(), in_.x.name, fault) ||
      !measure_outputs(in_.weights, weight_outputs_, fault)) {
    return false;
  }
  const char* const weights =
      weight_outputs_ > 0 ? "weights of tasks, rows and outputs" : "weights of tasks and rows";
  return measure_rows(in_.weights, weights, weight_outputs_, fault);
}

bool ExampleReader::measure_context(Fault& fault) {
  const Argument& context = in_.context;
  if (!context.given()) return true;
  if (!check_floats(context, in_.x.dtype(), in_.like, fault)) return false;
  const Shape& shape = context.array().shape;
  const bool fits = (shape.axes == 1 || shape.axes == 2) && shape.last() > 0 &&
                    shape.last() < in_.inputs && (shape.axes == 1 || shape[0] > 0);
  if (!fits) {
    fault.count = in_.inputs - 1;
    return fail(fault, Reason::context_shape, context);
  }
  if (columns_ + shape.last() != in_.inputs) {
    fault.count = in_.inputs - shape.last();
    fault.got = columns_;
    fault.text = "the network's inputs without the context";
    return fail(fault, Reason::columns, in_.x);
  }
  const Index held = shape.axes == 1 ? 1 : shape[0];
  if (held != 1 && sets_ != 1 && held != sets_) {
    fault.count = sets_;
    fault.got = held;
    fault.text = " as x does";
    return fail(fault, Reason::task_broadcast, context);
  }
  single_ = single_ && shape.axes == 1;
  out_sets_ = tasks_ = std::max(sets_, held);
  return true;
}

bool ExampleReader::measure_classes(Fault& fault) {
  const Argument& classes = in_.class_mask;
  if (!classes.given()) return true;
  if (!check_flags(classes, fault)) return false;
  const Shape& shape = classes.array().shape;
  const bool one = in_.takes_single && shape.axes == 1;
  if ((!one && shape.axes != 2) || classes.array().size() == 0) {
    return wrong_shape(fault, Reason::shape, classes, {2, {Shape::tasks, Shape::outputs}});
  }
  const Index held = one ? 1 : shape[0];
  const Index tasks = sets_ / sets_of_task();
  if (held != tasks && !(in_.takes_single && (held == 1 || tasks == 1))) {
    fault.other = in_.x.name;
    fault.count = tasks;
    fault.got = held;
    return fail(fault, Reason::task_count, classes);
  }
  single_ = single_ && one;
  tasks_ = std::max(tasks_, held);
  return true;
}

}  // namespace FOMAML_FAST_NAMESPACE::api
