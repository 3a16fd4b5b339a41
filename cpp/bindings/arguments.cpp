#include "arguments.hpp"

#include <limits>

#include "hooks.hpp"

namespace fomaml_fast_bindings {

namespace {

api::DType dtype_of(char kind, py::ssize_t bytes) {
  switch (kind) {
    case 'f':
      return bytes == 4 ? api::DType::float32 : bytes == 8 ? api::DType::float64 : api::DType::none;
    case 'i':
      return bytes == 4 ? api::DType::int32 : bytes == 8 ? api::DType::int64 : api::DType::none;
    case 'b':
      return api::DType::boolean;
    default:
      return api::DType::none;
  }
}

/// Reads an exact ndarray that is native, C-contiguous and aligned.
bool read_array(const py::handle& object, api::Array& array) {
  if (!is_ndarray(object)) return false;
  constexpr int kReadable =
      py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  const auto* const proxy = py::detail::array_proxy(object.ptr());
  if ((proxy->flags & kReadable) != kReadable) return false;
  const auto* const type = py::detail::array_descriptor_proxy(proxy->descr);
  if (type->byteorder != '=' && type->byteorder != '|' &&
      type->byteorder != (PY_LITTLE_ENDIAN ? '<' : '>')) {
    return false;
  }
  const auto whole = py::reinterpret_borrow<py::array>(object);
  array.dtype = dtype_of(type->kind, whole.itemsize());
  if (array.dtype == api::DType::none) return false;
  array.data = proxy->data;
  array.shape.axes = proxy->nd;
  for (int axis = 0; axis < std::min(proxy->nd, api::Shape::kMostAxes); ++axis) {
    array.shape.lengths[static_cast<std::size_t>(axis)] = proxy->dimensions[axis];
  }
  return true;
}

/// Whether nobody has to convert numbers of that dtype.
bool suits(api::DType dtype, const Conversion& conversion) {
  if (!conversion.forces || dtype == conversion.dtype) return true;
  return conversion.role == Role::targets && api::is_integer(dtype);  // labels
}

}  // namespace

bool is_ndarray(const py::handle& object) {
  static PyObject* const type = py::module_::import("numpy").attr("ndarray").ptr();
  return reinterpret_cast<PyObject*>(Py_TYPE(object.ptr())) == type;
}

bool Given::read(const py::handle& value, const Conversion& conversion) {
  if (read_array(value, one_)) {
    argument_.arrays = &one_;
    argument_.count = 1;
    object_ = py::reinterpret_borrow<py::object>(value);
    return suits(one_.dtype, conversion);
  }
  if (conversion.lists == Lists::none || !PyList_CheckExact(value.ptr())) return false;
  // Its own references: the caller's lists may lose their arrays while they are read.
  py::tuple items(py::reinterpret_borrow<py::list>(value));
  if (items.empty()) return false;
  const bool nested =
      conversion.lists == Lists::tasks_and_steps && PyList_CheckExact(items[0].ptr());
  many_.clear();
  many_.reserve(items.size());
  lists_.clear();
  if (nested) {
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (!PyList_CheckExact(items[i].ptr())) return false;
      const py::tuple list(py::reinterpret_borrow<py::list>(items[i]));
      items[i] = list;
      lists_.push_back(static_cast<Index>(list.size()));
      if (!read_items(list, conversion, true)) return false;
    }
    if (many_.empty()) return false;
  } else if (!read_items(items, conversion, false)) {
    return false;
  }
  argument_.arrays = many_.data();
  argument_.count = static_cast<Index>(many_.size());
  argument_.listed = true;
  argument_.lists = nested ? lists_.data() : nullptr;
  argument_.list_count = static_cast<Index>(lists_.size());
  object_ = std::move(items);
  return true;
}

/// Inputs in a list of lists are arrays of rows: those of columns are rows of one array.
bool Given::read_items(const py::tuple& items, const Conversion& conversion, bool in_list) {
  const int least = in_list && conversion.role == Role::inputs ? 2 : 1;
  for (const auto& item : items) {
    api::Array array;
    if (!read_array(item, array) || !suits(array.dtype, conversion) || array.shape.axes < least) {
      return false;
    }
    many_.push_back(array);
  }
  return true;
}

Given::Given(const char* name, const py::handle& value, const Conversion& conversion) {
  argument_.name = name;
  if (!value || value.is_none()) return;
  if (read(value, conversion)) return;
  constexpr const char* kRoles[] = {"numbers", "targets", "flags", "inputs"};
  const py::object dtype = conversion.dtype == api::DType::none
                               ? py::object(py::none())
                               : py::str(api::dtype_name(conversion.dtype));
  const py::object converted_value =
      hooks().convert(value, name, kRoles[static_cast<int>(conversion.role)], dtype,
                      static_cast<int>(conversion.lists), conversion.forces);
  Conversion converted = conversion;
  // What Python leaves as it is the core has a sentence about.
  converted.forces = false;
  if (converted.role == Role::inputs) converted.role = Role::numbers;
  if (!read(converted_value, converted)) {
    throw std::runtime_error("convert returned what the core cannot read");
  }
}

int threads_of(const py::handle& threads) {
  if (threads.is_none()) return 0;
  if (PyLong_CheckExact(threads.ptr())) {
    int overflow = 0;
    const long count = PyLong_AsLongAndOverflow(threads.ptr(), &overflow);
    if (overflow == 0 && count >= 1 && count < std::numeric_limits<std::int32_t>::max()) {
      return static_cast<int>(count);
    }
  }
  return py::cast<int>(hooks().count(threads, "threads", 1));
}

bool flag_of(const py::handle& value, const char* name) {
  if (value.ptr() == Py_True) return true;
  if (value.ptr() == Py_False) return false;
  return py::cast<bool>(hooks().flag(value, name));
}

}  // namespace fomaml_fast_bindings
