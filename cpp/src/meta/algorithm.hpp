// What a meta-learning algorithm is: orthogonal choices, not a menu.
//
// WHAT adapts x HOW x HOW THE GRADIENT FLOWS x WHERE the query loss is taken.
#pragma once

#include "inner/head.hpp"
#include "inner/step.hpp"
#include "network/spec.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// How the gradient flows back through the inner loop.
enum class Flow : std::uint8_t {
  first,     ///< every step's Jacobian is replaced by I (FOMAML)
  exact,     ///< through every step, with the support Hessian (MAML)
  reptile,   ///< theta - theta_S, as if it were a gradient (Reptile)
  implicit,  ///< through the stationary point of the pulled inner problem (iMAML)
};

inline constexpr const char* kFlowNames[] = {"first", "exact", "reptile", "implicit"};

/// The conjugate gradients of the implicit flow.
struct ImplicitSpec {
  double pull = 1;       ///< mu
  double tolerance = 0;  ///< of the residual's norm, relative to that of the query gradient
  int most_iterations = 0;
};

struct AlgorithmSpec {
  inner::Spec inner{};
  inner::HeadSpec head{};  ///< if given, instead of `inner`: one step solves it
  int steps = 1;
  std::uint32_t layers = ~std::uint32_t{0};  ///< bit l: layer l adapts
  Index context = 0;  ///< extra inputs that adapt instead of any layer, 0 in every task (CAVIA)
  Flow flow = Flow::first;
  ImplicitSpec implicit{};
  bool multi_step = false;           ///< the query loss is taken after every step, weighted
  bool learns_rates = false;         ///< the rates' gradient is wanted too
  bool rates_per_parameter = false;  ///< rates are [P], not [rate_steps, depth]

  [[nodiscard]] bool adapts(int layer) const {
    return context == 0 && (layers >> static_cast<unsigned>(layer) & 1U) != 0;
  }
  /// The lowest layer that adapts: what is below is the same at every step. `depth` if none does.
  [[nodiscard]] int first_adapted(int depth) const {
    int layer = 0;
    while (layer < depth && !adapts(layer)) ++layer;
    return layer;
  }
  [[nodiscard]] bool adapts_all(int depth) const {
    for (int l = 0; l < depth; ++l) {
      if (!adapts(l)) return false;
    }
    return true;
  }
  /// Whether every step is looked back at.
  [[nodiscard]] bool needs_tape() const {
    return !head.given() && steps > 0 && (flow == Flow::exact || learns_rates || multi_step);
  }
  /// Plain gradient descent of all parameters, one loss at its end: what the fused kernels compute.
  [[nodiscard]] bool is_vanilla_sgd(int depth) const {
    return !head.given() && inner.is_vanilla_sgd() && adapts_all(depth) && !multi_step &&
           !learns_rates && !rates_per_parameter && (flow == Flow::first || flow == Flow::exact);
  }
};

static_assert(kMaxLayers <= 32, "AlgorithmSpec::layers holds one bit a layer");

}  // namespace FOMAML_FAST_NAMESPACE
