// The inner-optimiser contract.
//
// An inner optimiser is a struct in a file of its own, elementwise over any pack:
//   name                what Python calls it
//   kStates             state vectors per parameter, all 0 at the start of every task
//   step(p, in, t)      theta_{k+1}, and the new state in place                    (t = k + 1)
//   pullback(p, in, t)  the cotangents of that step (math: theta' = U(theta, state, g))
// It never sees the network: `unroll` turns v_g into a Hessian-vector product, so every optimiser
// is exact at once. Adding one: a file here, and a line in registry.def.
#pragma once

#include <array>

#include "kernels/math.hpp"
#include "kernels/vector_math.hpp"

namespace FOMAML_FAST_NAMESPACE::inner {

/// Hyper-parameters other than the learning rate; what each means is the optimiser's affair.
struct Parameters {
  std::array<double, 4> value{};
};

/// Cotangents that one step sends back, elementwise.
template <class V>
struct Pullback {
  V theta;     ///< direct dependence on theta_k
  V gradient;  ///< v_g: goes through the support Hessian
  V rate;      ///< on the element's learning rate
};

}  // namespace FOMAML_FAST_NAMESPACE::inner
