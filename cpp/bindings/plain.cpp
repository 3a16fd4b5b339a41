#include <algorithm>
#include <limits>

#include "bindings.hpp"

namespace fomaml_fast_bindings {

namespace {

/// An exact ndarray of native 4- or 8-byte numbers of that kind, C-contiguous and aligned.
bool is_plain_of(char kind, const py::handle& object) {
  static PyObject* const array_type = py::module_::import("numpy").attr("ndarray").ptr();
  if (reinterpret_cast<PyObject*>(Py_TYPE(object.ptr())) != array_type) return false;
  const auto array = py::reinterpret_borrow<py::array>(object);
  constexpr int kReadable =
      py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  if ((array.flags() & kReadable) != kReadable) return false;
  const auto* type =
      py::detail::array_descriptor_proxy(py::detail::array_proxy(array.ptr())->descr);
  const bool native = type->byteorder == '=' || type->byteorder == (PY_LITTLE_ENDIAN ? '<' : '>');
  return native && type->kind == kind && (array.itemsize() == 4 || array.itemsize() == 8);
}

}  // namespace

bool is_plain(const py::handle& object) { return is_plain_of('f', object); }

bool is_plain_labels(const py::handle& object) { return is_plain_of('i', object); }

std::optional<Index> copy_labels(const py::array& labels, std::int32_t* to) {
  const auto convert = [&]<class Integer>(Integer) -> std::optional<Index> {
    const Integer* from = data<Integer>(labels);
    Integer least = 0, most = 0;
    for (Index i = 0; i < labels.size(); ++i) {
      const Integer label = from[i];
      least = std::min(least, label);
      most = std::max(most, label);
      to[i] = static_cast<std::int32_t>(label);
    }
    if (least < 0 || most > std::numeric_limits<std::int32_t>::max()) return std::nullopt;
    return static_cast<Index>(most);
  };
  return labels.itemsize() == 8 ? convert(std::int64_t{}) : convert(std::int32_t{});
}

bool any_negative(const py::array& array) {
  return dispatch(array, [&]<class T>(T) {
    const T* numbers = data<T>(array);
    bool found = false;
    for (Index i = 0; i < array.size(); ++i) found |= numbers[i] < T(0);
    return found;
  });
}

bool is_plain_theta(const py::handle& theta, const Network& net, bool check_finite) {
  if (!is_plain(theta)) return false;
  const auto array = py::reinterpret_borrow<py::array>(theta);
  if (array.ndim() != 1 || array.shape(0) != net.layout.n_params) return false;
  return !check_finite || dispatch(array, [&]<class T>(T) {
    return core::all_finite(data<T>(array), array.size());
  });
}

}  // namespace fomaml_fast_bindings
