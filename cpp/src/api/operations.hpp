// Nominal arithmetic of a problem: what an implementation has to do that knows of no short cut, in
// floating-point operations.
#pragma once

#include "engines/engine.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

/// Multiplications and additions of the matrix products of `problem`, as if all layers adapted; of
/// conjugate gradients, whose number only the run shows, none.
double operations(const Problem& problem);

/// Plain gradient descent by tasks of equal length: their "first" or "exact" meta-gradient, or the
/// "hvp" of their support sets. For reports.
Problem descent_problem(const char* order, const NetworkSpec& net, Index tasks, Index support,
                        Index query, int steps);

}  // namespace FOMAML_FAST_NAMESPACE::api
