// How many threads a call is worth. Results never depend on it.
#pragma once

#include <chrono>

#include "engines/engine.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

/// Threads for `problem`: all that the call may use, or one where another process holds a processor
/// or, if the caller leaves the choice, where waking the others would cost more than they save.
int worthwhile_workers(const Problem& problem, const Execution& execution);

/// Learns from a run with several threads: where another process holds a processor, a region waits
/// for a thread that the system has put aside, many times longer than the work. The next calls then
/// run alone for a while.
void learn_from(const Problem& problem, std::chrono::steady_clock::duration elapsed);

}  // namespace FOMAML_FAST_NAMESPACE::api
