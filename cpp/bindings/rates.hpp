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
  static py::object stands_in(const py::handle& value, const AlgorithmObject& algorithm,
                              const api::Network& net, api::DType dtype) {
    const bool first = value.is_none() && algorithm.algorithm.spec.learns_rates;
    return first ? py::object(first_rates(algorithm, net, dtype))
                 : py::reinterpret_borrow<py::object>(value);
  }
};

}  // namespace fomaml_fast_bindings
