// How many threads a call is worth. Results never depend on it.
#pragma once

#include <chrono>

#include "engines/engine.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

/// Threads for `problem` where nobody else holds a processor: all that the call may use or, if the
/// caller leaves the choice, one where waking the others would cost more than they save.
/// `shares_products`: whether the engine does.
int worthwhile_workers(const Problem& problem, const Execution& execution, bool shares_products);

/// Whether a call is over before anybody can ask it to stop: then nobody looks at the clock.
bool is_brief(const Problem& problem);

/// Whether calls run alone for now, because one with several threads seemed held up.
bool crowded();

/// Learns from a run with several threads, or from one that ran alone while `crowded`. Where
/// another process holds a processor, a region waits for a thread that the system has put aside,
/// many times longer than the work: the next calls then run alone for a while. If one of them takes
/// as long, nobody was held up: such work is that slow, and threads return.
void learn_from(const Problem& problem, int workers, std::chrono::steady_clock::duration elapsed);

}  // namespace FOMAML_FAST_NAMESPACE::api
