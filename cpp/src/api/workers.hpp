// How many threads a call is worth. Results never depend on it.
#pragma once

#include "engines/engine.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

/// Threads for `problem` where the caller leaves the choice: all of `available`, or one where
/// waking the others would cost more than they save.
int worthwhile_workers(const Problem& problem, int available);

}  // namespace FOMAML_FAST_NAMESPACE::api
