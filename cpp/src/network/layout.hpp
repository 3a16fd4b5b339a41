// Where each layer's parameters stand in the flat vector theta. Layer after layer: W_l row-major
// [fan_in, fan_out], then b_l, then the gains gamma_l and shifts beta_l of a normalised layer. No
// other file knows this order.
#pragma once

#include "network/spec.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// Where one layer's parts begin.
struct LayerOffsets {
  Index weight;
  Index bias;
  Index gain, shift;  ///< normalised layers only, elsewhere 0
  Index end;
};

struct Layout {
  std::array<Index, kMaxLayers> first{};  ///< offset of each layer's first parameter
  Index n_params = 0;

  explicit Layout(const NetworkSpec& net) {
    for (int l = 0; l < net.depth; ++l) {
      first[NetworkSpec::at(l)] = n_params;
      n_params = layer(net, l).end;
    }
  }

  /// Layout of the parameters of `net`.
  [[nodiscard]] LayerOffsets layer(const NetworkSpec& net, int l) const {
    const Index weight = first[NetworkSpec::at(l)], units = net.fan_out(l);
    const Index bias = weight + net.fan_in(l) * units, after = bias + units;
    if (!net.normalized(l)) return {weight, bias, 0, 0, after};
    return {weight, bias, after, after + units, after + 2 * units};
  }
};

}  // namespace FOMAML_FAST_NAMESPACE
