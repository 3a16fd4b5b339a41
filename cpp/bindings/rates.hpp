// The inner rates of a call: those given, or the first ones of an algorithm that learns them.
#pragma once

#include "arguments.hpp"
#include "hooks.hpp"

namespace fomaml_fast_bindings {

/// Rates before any is learned, in the shape that is learned.
py::array first_rates(const AlgorithmObject& algorithm, const api::Network& net, api::DType dtype);

/// Number of the learned rates of a state, which must be in the shape that is learned.
inline Index count_learned(const AlgorithmObject& algorithm, const api::Network& net,
                           const api::Argument& rates, Index learner = -1) {
  if (!algorithm.algorithm.spec.learns_rates) return 0;
  api::Fault fault;
  fault.learner = learner;
  api::Shape wanted;
  expect(api::learned_shape(algorithm.algorithm, net, wanted, fault), fault);
  const api::Shape& got = rates.array().shape;
  bool same = got.axes == wanted.axes;
  for (int axis = 0; same && axis < got.axes; ++axis) same = got[axis] == wanted[axis];
  if (same) return got.size();
  fault.reason = api::Reason::rates_of_another;
  fault.name = rates.name;
  fault.wanted = wanted;
  fault.shape = got;
  throw Refused{fault};
}

class GivenRates : public Given {
 public:
  GivenRates(const char* name, const py::handle& value, const AlgorithmObject& algorithm,
             const api::Network& net, api::DType dtype)
      : Given(name, stands_in(value, algorithm, net, dtype), {Role::numbers, dtype}) {}

  /// What a state holds that learns nothing beside theta.
  static bool empty(const py::handle& value) {
    if (PyList_Check(value.ptr()) || PyTuple_Check(value.ptr())) return py::len(value) == 0;
    return is_ndarray(value) && py::reinterpret_borrow<py::array>(value).size() == 0;
  }

 private:
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
