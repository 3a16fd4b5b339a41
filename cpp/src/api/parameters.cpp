#include "api/parameters.hpp"

#include "base/finite.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

bool check_parameters(const Argument& argument, const ParameterRule& rule, Fault& fault) {
  fault.name = argument.name;
  const auto wrong = [&](Reason reason) {
    fault.reason = reason;
    return false;
  };
  if (!argument.given()) return wrong(Reason::missing);
  const Array& array = argument.array();
  fault.dtype = array.dtype;
  fault.shape = array.shape;
  if (!is_float(array.dtype)) return wrong(Reason::not_float);
  const int axes = array.shape.axes;
  if ((axes != 1 && (!rule.per_task || axes != 2)) || array.shape.last() != rule.n_params) {
    fault.wanted = {1, {rule.n_params}};
    fault.count = rule.n_params;
    return wrong(rule.per_task ? Reason::parameters_shape : Reason::shape);
  }
  if (axes == 2 && array.shape[0] == 0) return wrong(Reason::no_task);
  if (rule.dtype != DType::none && array.dtype != rule.dtype) {
    fault.other = rule.like;
    fault.like = rule.dtype;
    return wrong(Reason::dtype_differs);
  }
  return true;
}

namespace {

bool check_finite(const Array& array, bool always, Fault& fault) {
  return visit_float(array.dtype, [&]<class T>(T) {
    const T* const numbers = array.as<T>();
    if (all_finite(numbers, array.size())) return true;
    const Index bad = first_non_finite(numbers, array.size());
    fault.value = static_cast<double>(numbers[bad]);
    fault.reason = always ? Reason::never_finite : Reason::not_finite;
    fault.at.axes = array.shape.axes;
    Index rest = bad;
    for (int axis = array.shape.axes - 1; axis >= 0; --axis) {
      fault.at.lengths[static_cast<std::size_t>(axis)] = rest % array.shape[axis];
      rest /= array.shape[axis];
    }
    if (array.shape.axes == 0) fault.reason = Reason::scalar_not_finite;
    return false;
  });
}

}  // namespace

bool check_finite(const Argument& argument, bool always, Fault& fault) {
  for (Index i = 0; i < argument.count; ++i) {
    if (check_finite(argument.arrays[i], always, fault)) continue;
    fault.name = argument.name;
    fault.item = argument.listed ? i : -1;
    return false;
  }
  return true;
}

}  // namespace FOMAML_FAST_NAMESPACE::api
