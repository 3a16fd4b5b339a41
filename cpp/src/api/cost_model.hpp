// Which engine is fastest for a problem: a function of its shape, never of threads.
#pragma once

#include "engines/engine.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

/// Relative cost of `problem` in the engine of that name; only the order matters.
template <class T>
double estimated_cost(const char* engine, const Problem& problem);

}  // namespace FOMAML_FAST_NAMESPACE::api
