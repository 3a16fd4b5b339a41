// The outer-optimiser contract.
//
// An outer optimiser is a struct in a file of its own, elementwise over any pack:
//   name                          what Python calls it
//   options                       its hyper-parameters other than lr, if any (base/options.hpp)
//   moments(p)                    moment vectors per parameter, all 0 before the first step
//   Coefficients, prepare(p, lr, t)   what is the same for every element of step t = 1, 2, …
//   step(c, theta, g, moments)    the new theta, and the new moments in place
// Definitions and defaults are torch.optim's. Adding one: a file here, and a line in registry.def.
#pragma once

#include "base/options.hpp"
#include "kernels/math.hpp"
#include "kernels/vector_math.hpp"

namespace FOMAML_FAST_NAMESPACE::outer {

/// No optimiser keeps more moments than this.
inline constexpr int kMostMoments = 3;

}  // namespace FOMAML_FAST_NAMESPACE::outer
