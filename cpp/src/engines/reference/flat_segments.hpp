// Which runs of the flat parameter vector adapt.
#pragma once

#include "engines/engine.hpp"
#include "inner/adapted.hpp"

namespace FOMAML_FAST_NAMESPACE::reference {

/// Parts of the flat vector that adapt.
class FlatSegments {
 public:
  explicit FlatSegments(const Problem& problem) {
    const Index P = problem.layout.n_params;
    const int depth = problem.net.depth;
    if (problem.algorithm.context > 0) {  // phi stands behind theta, and has one rate
      add({P, P + problem.algorithm.context, 0});
      return;
    }
    for (int l = 0; l < depth; ++l) {
      if (!problem.algorithm.adapts(l)) continue;
      const LayerOffsets at = problem.layout.layer(problem.net, l);
      add({at.weight, at.end, l});
    }
  }
  [[nodiscard]] const inner::Segment* data() const { return segments_.data(); }
  [[nodiscard]] int count() const { return count_; }

 private:
  void add(inner::Segment segment) { segments_[static_cast<std::size_t>(count_++)] = segment; }
  std::array<inner::Segment, kMaxLayers> segments_{};
  int count_ = 0;
};

}  // namespace FOMAML_FAST_NAMESPACE::reference
