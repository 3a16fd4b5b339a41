// Outputs of a row with their derivatives along directions of its inputs.
#pragma once

#include "base/config.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// How a row's jet stands in memory: [streams, n_L], the outputs first, then their first
/// derivatives along every direction, then their second ones, each along a direction and itself.
struct JetShape {
  Index directions = 0;
  int order = 0;  ///< of the highest derivative: 1 or 2; 0 is the outputs alone

  [[nodiscard]] constexpr Index streams() const { return 1 + order * directions; }
  [[nodiscard]] constexpr Index first(Index direction) const { return 1 + direction; }
  [[nodiscard]] constexpr Index second(Index direction) const { return 1 + directions + direction; }
};

}  // namespace FOMAML_FAST_NAMESPACE
