// A whole in balanced parts, the longer ones first: 10 in parts of at most 4 are 4 + 3 + 3, not
// 4 + 4 + 2, since short tiles leave the FMA pipes waiting.
#pragma once

#include <algorithm>

#include "base/config.hpp"

namespace FOMAML_FAST_NAMESPACE {

struct Parts {
  Index count;   ///< number of parts
  Index size;    ///< length of the shorter parts
  Index longer;  ///< number of parts that are longer by one

  constexpr Parts(Index whole, Index most)
      : count((whole + most - 1) / most),
        size(count == 0 ? 0 : whole / count),
        longer(whole - size * count) {}

  [[nodiscard]] constexpr Index first(Index i) const { return i * size + std::min(i, longer); }
  [[nodiscard]] constexpr Index length(Index i) const { return size + (i < longer ? 1 : 0); }
};

}  // namespace FOMAML_FAST_NAMESPACE
