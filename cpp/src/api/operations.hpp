// Nominal arithmetic of a problem: what any implementation has to do, in floating-point operations.
#pragma once

#include "engines/engine.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

/// Multiplications and additions of the matrix products of `problem`.
double operations(const Problem& problem);

}  // namespace FOMAML_FAST_NAMESPACE::api
