// Where each layer's parameters stand in the flat vector theta: W_l row-major [fan_in, fan_out],
// then b_l, and where the layer is normalised its gains gamma_l and shifts beta_l; layer after
// layer. The one place that knows it.
#pragma once

#include "network/spec.hpp"

namespace FOMAML_FAST_NAMESPACE {

struct Layout {
  std::array<Index, kMaxLayers> weight{};  ///< offset of W_l
  std::array<Index, kMaxLayers> bias{};    ///< offset of b_l
  std::array<Index, kMaxLayers> gain{};    ///< offset of gamma_l; normalised layers only
  std::array<Index, kMaxLayers> shift{};   ///< offset of beta_l; normalised layers only
  Index n_params = 0;

  explicit Layout(const NetworkSpec& net) {
    for (int l = 0; l < net.depth; ++l) {
      weight[NetworkSpec::at(l)] = n_params;
      n_params += net.fan_in(l) * net.fan_out(l);
      bias[NetworkSpec::at(l)] = n_params;
      n_params += net.fan_out(l);
      if (!net.normalized(l)) continue;
      gain[NetworkSpec::at(l)] = n_params;
      n_params += net.fan_out(l);
      shift[NetworkSpec::at(l)] = n_params;
      n_params += net.fan_out(l);
    }
  }
};

}  // namespace FOMAML_FAST_NAMESPACE
