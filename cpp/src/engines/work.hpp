// Arithmetic of a problem's matrix products, in floating-point operations; elementwise work is in
// no count.
#pragma once

#include "engines/engine.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// Operations per row of data of one pass of one network.
struct PassCosts {
  double forward = 0;
  double gradient = 0;  ///< forward, weight gradients, gradients of all inputs but the data
  double hvp = 0;       ///< the R-operator's share on top of a gradient
  /// Of layer 0 alone: its forward product, which its weight gradient costs again.
  double first = 0;

  /// What the textbook needs: the R-operator doubles every product of a gradient.
  static PassCosts nominal(const NetworkSpec& net);
  /// What is executed where rows of outputs are padded to whole vectors of so many numbers, and the
  /// inputs have no tangent.
  static PassCosts padded(const NetworkSpec& net, Index columns);
};

/// Of a problem whose passes cost so much, as if all layers adapted; of conjugate gradients, whose
/// number only the run shows, nothing.
double operations(const Problem& problem, const PassCosts& row);

}  // namespace FOMAML_FAST_NAMESPACE
