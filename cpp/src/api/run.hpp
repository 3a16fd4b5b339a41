// The entry point of the core: one validated call, from plan to results.
#pragma once

#include "engines/engine.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

/// Chooses an engine, checks a workspace out and runs. `call.diverged` may be null for operations
/// that cannot diverge; otherwise it is zeroed here, and Status::diverged says that a task is
/// flagged.
template <class T>
Status run(const Problem& problem, const Call<T>& call, const Execution& execution);

}  // namespace FOMAML_FAST_NAMESPACE::api
