#include "bindings.hpp"

namespace fomaml_fast_bindings {

bool is_plain(const py::handle& object) {
  static PyObject* const array_type = py::module_::import("numpy").attr("ndarray").ptr();
  if (reinterpret_cast<PyObject*>(Py_TYPE(object.ptr())) != array_type) return false;
  const auto array = py::reinterpret_borrow<py::array>(object);
  constexpr int kReadable =
      py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  if ((array.flags() & kReadable) != kReadable) return false;
  const auto* type =
      py::detail::array_descriptor_proxy(py::detail::array_proxy(array.ptr())->descr);
  const bool native = type->byteorder == '=' || type->byteorder == (PY_LITTLE_ENDIAN ? '<' : '>');
  return native && type->kind == 'f' && (array.itemsize() == 4 || array.itemsize() == 8);
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
