// ExampleReader's second stroke: what the arrays hold, and copies of what cannot stay in place.
#include <limits>

#include "api/example_reader.hpp"
#include "base/finite.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

std::size_t bytes_of(DType dtype) {
  return dtype == DType::float64 || dtype == DType::int64 ? 8 : dtype == DType::boolean ? 1 : 4;
}

std::int64_t integer_at(const Array& array, Index i) {
  return array.dtype == DType::int64 ? array.as<std::int64_t>()[i] : array.as<std::int32_t>()[i];
}

}  // namespace

ExampleReader::Buffers ExampleReader::carve(Arena& arena) const {
  const auto take = [&](bool wanted, DType dtype, Index count) -> void* {
    if (!wanted) return nullptr;
    return arena.take<std::byte>(count * static_cast<Index>(bytes_of(dtype)));
  };
  const DType floats = in_.x.dtype();
  const bool masked = in_.mask.given(), context = in_.context.given();
  const bool numbers = in_.wants_targets && is_float(in_.y.dtype());
  const bool labels = in_.wants_targets && is_integer(in_.y.dtype());
  const bool weighs = in_.weights.given();
  const Index out_rows = out_sets_ == sets_ ? total_ : out_sets_ * rows_;
  const Index columns = context ? in_.inputs : columns_;
  Buffers to{};
  to.offsets = arena.take<Index>(out_sets_ + 1);
  to.x = take(in_.x.count > 1 || masked || context, floats, out_rows * columns);
  to.y = take(numbers && (in_.y.count > 1 || masked), floats,
              numbers ? total_ * in_.y.array().shape.last() : 0);
  to.labels = static_cast<std::int32_t*>(take(labels, DType::int32, total_));
  to.weights = take(weighs, floats, total_ * std::max<Index>(1, weight_outputs_));
  to.coefficients = take(weighs || per_output(), floats,
                         total_ * (per_output() ? in_.y.array().shape.last() : 1));
  if (masked) {
    to.starts = arena.take<Index>(sets_);
    to.kept = arena.take<std::uint8_t>(total_);
  }
  if (mask_outputs_ > 0) to.known = arena.take<std::uint8_t>(total_ * mask_outputs_);
  if (in_.class_mask.given()) {
    to.classes = arena.take<std::uint8_t>(tasks_ * in_.class_mask.array().shape.last());
  }
  return to;
}

std::size_t ExampleReader::bytes() const {
  Arena arena;
  static_cast<void>(carve(arena));
  return arena.used();
}

void ExampleReader::place(const Argument& field, Index set, Index row, Index column,
                          Fault& fault) const {
  fault.name = field.name;
  fault.item = field.listed ? set : -1;
  fault.steps = in_.steps;
  Shape at;
  const auto push = [&](Index i) { at.lengths[static_cast<std::size_t>(at.axes++)] = i; };
  if (!field.listed && array_of(field, set).shape.axes > (column >= 0 ? 2 : 1)) {
    if (in_.steps > 0) push(set / in_.steps);
    push(in_.steps > 0 ? set % in_.steps : set);
  }
  push(row);
  if (column >= 0) push(column);
  fault.at = at;
}

bool ExampleReader::read_offsets(const Buffers& to, Fault& fault) const {
  to.offsets[0] = 0;
  for (Index t = 0; t < out_sets_; ++t) {
    const Index set = out_sets_ == sets_ ? t : 0, rows = count(set);
    Index kept = rows;
    if (kept_ != nullptr) {
      kept = 0;
      for (Index row = 0; row < rows; ++row) kept += keeps(set, row) ? 1 : 0;
      if (kept == 0) {
        fault.reason = Reason::mask_leaves_none;
        fault.name = in_.mask.name;
        fault.set = t;
        fault.steps = in_.steps;
        fault.text = mask_outputs_ > 0 ? "target" : "row";
        return false;
      }
    }
    to.offsets[t + 1] = to.offsets[t] + kept;
  }
  return true;
}

/// Numbers that are not masked are finite. `always`: no switch turns the check off.
template <class T>
bool ExampleReader::check_finite(const Argument& field, bool always, Fault& fault) const {
  if (kept_ == nullptr) {
    bool fine = true;
    for (Index i = 0; fine && i < field.count; ++i) {
      fine = all_finite(field.arrays[i].as<T>(), field.arrays[i].size());
    }
    if (fine) return true;
  }
  const bool flat = array_of(field, 0).shape.axes == (field.listed || one_set_ ? 1 : 2);
  const Index columns = flat ? 1 : array_of(field, 0).shape.last();
  for (Index t = 0; t < sets_; ++t) {
    const T* const numbers = array_of(field, t).as<T>() + entry(field, t, 0, columns);
    Index bad = -1;
    in_kept_rows(t, [&](Index first, Index rows) {
      if (bad >= 0) return;
      const Index found = first_non_finite(numbers + first * columns, rows * columns);
      if (found >= 0) bad = first * columns + found;
    });
    if (bad < 0) continue;
    place(field, t, bad / columns, flat ? -1 : bad % columns, fault);
    fault.value = static_cast<double>(numbers[bad]);
    fault.reason = always ? Reason::never_finite : Reason::not_finite;
    return false;
  }
  return true;
}

/// Rows of numbers, in place or copied; x gets the context behind each row.
template <class T>
bool ExampleReader::read_numbers(const Argument& field, bool context, T* to, const void*& result,
                                 Fault& fault) {
  if (in_.check_finite && !check_finite<T>(field, false, fault)) return false;
  const bool joins = field.count > 1 || (context && in_.context.given());
  if (kept_ == nullptr && !joins) {
    result = field.array().data;
    return true;
  }
  result = to;
  const Index columns = field.array().shape.last();
  const Index more = context && in_.context.given() ? in_.inputs - columns : 0;
  for (Index t = 0; t < (more > 0 ? out_sets_ : sets_); ++t) {
    const Index set = out_sets_ == sets_ ? t : 0;
    const T* const from = array_of(field, set).as<T>() + entry(field, set, 0, columns);
    const T* phi = nullptr;
    if (more > 0) {
      const Shape& shape = in_.context.array().shape;
      phi = in_.context.array().as<T>() + (shape.axes == 2 && shape[0] > 1 ? t * more : 0);
    }
    in_kept_rows(set, [&](Index first, Index rows) {
      const T* numbers = from + first * columns;
      if (more == 0) to = std::copy_n(numbers, rows * columns, to);
      for (Index row = 0; more > 0 && row < rows; ++row, numbers += columns) {
        to = std::copy_n(phi, more, std::copy_n(numbers, columns, to));
      }
    });
  }
  return true;
}

bool ExampleReader::read_labels(const Buffers& to, Examples& examples, Fault& fault) {
  examples.y = to.labels;
  std::int32_t* next = to.labels;
  std::int64_t top = -1;
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  for (Index t = 0; t < sets_; ++t) {
    const Array& array = array_of(in_.y, t);
    const Index first = entry(in_.y, t, 0, 1);
    for (Index row = 0; row < count(t); ++row) {
      if (!keeps(t, row)) continue;
      const std::int64_t label = integer_at(array, first + row);
      if (label < 0 || label > kMost) {
        place(in_.y, t, row, -1, fault);
        fault.got = label;
        fault.reason = label < 0 ? Reason::label_below_zero : Reason::label_too_large;
        return false;
      }
      top = std::max(top, label);
      *next++ = static_cast<std::int32_t>(label);
    }
  }
  examples.top_label = top;
  return true;
}

template <class T>
bool ExampleReader::read_weights(const Buffers& to, Examples& examples, Fault& fault) {
  examples.coefficients = to.coefficients;
  if (in_.weights.given()) {
    examples.weights = to.weights;
    examples.weighs_outputs = weight_outputs_ > 0;
    T* weight = static_cast<T*>(to.weights);
    if (weight_outputs_ > 0 && mask_outputs_ > 0) {
      if (!read_known_numbers(in_.weights, true, weight, fault)) return false;
    } else {
      if (!check_finite<T>(in_.weights, true, fault)) return false;
      const Index columns = examples.weighs_outputs ? weight_outputs_ : 1;
      for (Index t = 0; t < sets_; ++t) {
        const T* const from = array_of(in_.weights, t).as<T>() + entry(in_.weights, t, 0, columns);
        in_kept_rows(t, [&](Index first, Index rows) {
          weight = std::copy_n(from + first * columns, rows * columns, weight);
        });
      }
    }
  }
  if (per_output()) {
    read_coefficients_of_outputs<T>(to);
    return true;
  }
  const T* const weights = static_cast<const T*>(to.weights);
  T* const coefficients = static_cast<T*>(to.coefficients);
  for (Index t = 0; t < sets_; ++t) {
    const T rows = static_cast<T>(to.offsets[t + 1] - to.offsets[t]);
    for (Index i = to.offsets[t]; i < to.offsets[t + 1]; ++i) coefficients[i] = weights[i] / rows;
  }
  return true;
}

bool ExampleReader::read_classes(const Buffers& to, Examples& examples, Fault& fault) {
  const Array& mask = in_.class_mask.array();
  const Index columns = mask.shape.last(), held = mask.shape.axes == 2 ? mask.shape[0] : 1;
  examples.classes = to.classes;
  examples.class_columns = columns;
  if (tasks_ > examples.tasks) examples = examples.for_tasks(tasks_);
  examples.same_classes = false;
  for (Index t = 0; t < examples.tasks; ++t) {
    const std::uint8_t* const from = mask.as<std::uint8_t>() + (held > 1 ? t * columns : 0);
    const auto is_set = [](std::uint8_t flag) { return flag != 0; };  // NumPy's true is any but 0
    if (std::none_of(from, from + columns, is_set)) {
      fault.reason = Reason::no_class;
      fault.name = in_.class_mask.name;
      fault.got = t;
      return false;
    }
    std::transform(from, from + columns, to.classes + t * columns, is_set);
  }
  return true;
}

template <class T>
bool ExampleReader::read_as(const Buffers& to, Examples& examples, Fault& fault) {
  if (!read_numbers<T>(in_.x, true, static_cast<T*>(to.x), examples.x, fault)) return false;
  if (in_.context.given() && in_.check_finite) {
    const Array& context = in_.context.array();
    const Index bad = first_non_finite(context.as<T>(), context.size()), k = context.shape.last();
    if (bad >= 0) {
      fault.reason = Reason::not_finite;
      fault.name = in_.context.name;
      fault.at = context.shape.axes == 1 ? Shape{1, {bad}} : Shape{2, {bad / k, bad % k}};
      fault.value = static_cast<double>(context.as<T>()[bad]);
      return false;
    }
  }
  if (in_.wants_targets) {
    if (is_float(in_.y.dtype())) {
      examples.kind = Examples::Kind::numbers;
      examples.target_columns = in_.y.array().shape.last();
      T* const y = static_cast<T*>(to.y);
      if (mask_outputs_ > 0) {
        examples.y = y;
        examples.known = to.known;
        read_known(to);
        if (!read_known_numbers(in_.y, in_.check_finite, y, fault)) return false;
      } else if (!read_numbers<T>(in_.y, false, y, examples.y, fault)) {
        return false;
      }
    } else {
      examples.kind = Examples::Kind::labels;
      if (!read_labels(to, examples, fault)) return false;
    }
  }
  return to.coefficients == nullptr || read_weights<T>(to, examples, fault);
}

bool ExampleReader::read(std::byte* memory, Examples& examples, Fault& fault) {
  Arena arena(memory);
  const Buffers to = carve(arena);
  examples = {};
  examples.x_name = in_.x.name;
  examples.y_name = in_.y.name;
  examples.class_mask_name = in_.class_mask.name;
  examples.weights_name = in_.weights.name;
  examples.dtype = in_.x.dtype();
  examples.tasks = out_sets_ / sets_of_task();
  examples.steps = in_.steps;
  examples.single = single_;
  examples.listed = in_.x.listed;
  examples.columns = in_.context.given() ? in_.inputs : columns_;
  examples.offsets = to.offsets;
  if (in_.mask.given()) read_kept(to);
  if (!read_offsets(to, fault)) return false;
  examples.per_output_name = mask_outputs_ > 0 ? in_.mask.name : in_.weights.name;
  examples.shape.per_output = per_output();
  RowShape& shape = examples.shape;
  shape.total = to.offsets[out_sets_] / sets_of_task();
  shape.stepped = in_.steps > 0;
  for (Index t = 0; t < out_sets_; ++t) {
    const Index rows = to.offsets[t + 1] - to.offsets[t];
    shape.longest = std::max(shape.longest, rows);
    shape.ragged = shape.ragged || rows != to.offsets[1];
  }
  const bool read =
      visit_float(examples.dtype, [&]<class T>(T) { return read_as<T>(to, examples, fault); });
  if (!read) return false;
  return !in_.class_mask.given() ||
         (read_classes(to, examples, fault) && classes_hold(examples, fault));
}

}  // namespace FOMAML_FAST_NAMESPACE::api
