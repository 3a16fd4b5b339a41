// A network as callers name it.
#pragma once

#include "network/layout.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

struct Network {
  NetworkSpec spec;
  Layout layout{spec};
  /// False where the caller computes the loss between calls: then targets are the caller's own.
  bool has_loss = true;

  [[nodiscard]] Index n_params() const { return layout.n_params; }
};

}  // namespace FOMAML_FAST_NAMESPACE::api
