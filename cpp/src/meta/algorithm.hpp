// What a meta-learning algorithm is: orthogonal choices, not a menu.
#pragma once

#include "inner/registry.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// How the gradient flows back through the inner loop.
enum class Flow : std::uint8_t {
  first,  ///< every step's Jacobian is replaced by I (FOMAML)
  exact,  ///< through every step, with the support Hessian (MAML)
};

inline constexpr const char* kFlowNames[] = {"first", "exact"};

struct AlgorithmSpec {
  InnerId inner = InnerId::sgd;
  inner::Parameters inner_parameters{};
  int steps = 1;
  Flow flow = Flow::first;
};

}  // namespace FOMAML_FAST_NAMESPACE
