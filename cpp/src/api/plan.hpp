// What a call would do, without doing it.
#pragma once

#include "api/engines.hpp"
#include "api/meta_gradient.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

struct PlanReport {
  int chosen = -1;  ///< index of the engine; -1 if the forced one does not support the problem
  int workers = 1;
  std::size_t workspace_bytes = 0;
};

/// What `run` would choose now: the workers depend on whether others are awake.
template <class T>
PlanReport plan(const Problem& problem, const Execution& execution);

/// The problem of a call that is only planned: "meta_grad", "adapt", or for the query rows, each
/// task at parameters of its own, "predict", "input_vjp", "input_jvp", or "jet" along all inputs.
template <class T>
Problem planned_problem(const char* operation, const MetaArguments& arguments, bool weighs_tasks);

}  // namespace FOMAML_FAST_NAMESPACE::api
