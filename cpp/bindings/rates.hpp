// The inner rates of a call: those given, or the first ones of an algorithm that learns them.
#pragma once

#include "arguments.hpp"

namespace fomaml_fast_bindings {

/// Rates before any is learned, in the shape that is learned.
py::array first_rates(const AlgorithmObject& algorithm, const api::Network& net, api::DType dtype);

class GivenRates : public Given {
 public:
  GivenRates(const char* name, const py::handle& value, const AlgorithmObject& algorithm,
             const api::Network& net, api::DType dtype)
      : Given(name, stands_in(value, algorithm, net, dtype), {Role::numbers, dtype}) {}

 private:
  /// What a state holds that learns nothing beside theta.
  static bool empty(const py::handle& value) {
    if (PyList_Check(value.ptr()) || PyTuple_Check(value.ptr())) return py::len(value) == 0;
    return is_ndarray(value) && py::reinterpret_borrow<py::array>(value).size() == 0;
  }
  static py::object stands_in(const py::handle& value, const AlgorithmObject& algorithm,
                              const api::Network& net, api::DType dtype) {
    const core::AlgorithmSpec& spec = algorithm.algorithm.spec;
    const bool none = value.is_none() || (spec.head.given() && !spec.learns_rates && empty(value));
    const bool first = none && (spec.learns_rates || spec.head.given());
    return first ? py::object(first_rates(algorithm, net, dtype))
                 : py::reinterpret_borrow<py::object>(value);
  }
};

}  // namespace fomaml_fast_bindings
