// Where each layer's parameters stand in the flat vector theta: W_l row-major [fan_in, fan_out],
// then b_l, layer after layer. The one place that knows it.
#pragma once

#include "network/spec.hpp"

namespace FOMAML_FAST_NAMESPACE {

struct Layout {
  std::array<Index, kMaxLayers> weight{};  ///< offset of W_l
  std::array<Index, kMaxLayers> bias{};    ///< offset of b_l
  Index n_params = 0;

  explicit Layout(const NetworkSpec& net) {
    for (int l = 0; l < net.depth; ++l) {
      weight[NetworkSpec::at(l)] = n_params;
      n_params += net.fan_in(l) * net.fan_out(l);
      bias[NetworkSpec::at(l)] = n_params;
      n_params += net.fan_out(l);
    }
  }
};

}  // namespace FOMAML_FAST_NAMESPACE
