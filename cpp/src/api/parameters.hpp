// Vectors over all parameters: theta, and directions of it.
#pragma once

#include "api/fault.hpp"
#include "api/network.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

/// Whether an argument is one vector [n_params] or, with `per_task`, one a task [T, n_params].
/// `dtype`: that it must have, `like` says whose; none takes either float.
struct ParameterRule {
  Index n_params;
  DType dtype = DType::none;
  const char* like = "theta";
  bool per_task = true;
};
bool check_parameters(const Argument& argument, const ParameterRule& rule, Fault& fault);

/// Whether all numbers are finite; the fault names the first that is not. `always`: no switch of
/// the caller's turns the check off.
bool check_finite(const Argument& argument, bool always, Fault& fault);

/// How many vectors an argument holds.
inline Index vectors_in(const Argument& argument) {
  return argument.array().shape.axes == 2 ? argument.array().shape[0] : 1;
}

}  // namespace FOMAML_FAST_NAMESPACE::api
