// How matrices of packs lie in memory.
#pragma once

#include "kernels/simd.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

/// A matrix of packs whose rows are `stride` apart.
struct Grid {
  Index rows = 0, width = 0, stride = 0;
};

/// Distance between the rows of a matrix. Rows whose distance is a multiple of a large power of two
/// share few sets of the first-level cache and throw each other out (docs/notebook.md). One line
/// more spreads them over all sets. The line is added where a panel two lines wide of a square
/// matrix would not fit.
inline Index row_stride(Index width) {
  constexpr Index kCache = Index{32} << 10, kPanel = 2;
  const Index bytes = width * kVectorBytes;
  const Index power_of_two = bytes & -bytes;
  // Padded rows hold at least a square of lanes: gather and scatter rely on that.
  constexpr Index kMostLanes = kLanes<float>;
  const bool crowded = width >= kMostLanes && kPanel * width * power_of_two > kCache;
  return width + (crowded ? kLineBytes / kVectorBytes : 0);
}

}  // namespace FOMAML_FAST_NAMESPACE::lanes
