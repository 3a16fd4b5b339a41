// What a call would do, without doing it.
#pragma once

#include "engines/engine.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

struct PlanReport {
  int chosen = -1;  ///< index of the engine; -1 if the forced one does not support the problem
  int workers = 1;
  std::size_t workspace_bytes = 0;
};

/// What `run` would choose now: the workers depend on whether others are awake.
template <class T>
PlanReport plan(const Problem& problem, const Execution& execution);

}  // namespace FOMAML_FAST_NAMESPACE::api
