#pragma once

#include "inner/optimizer.hpp"

namespace FOMAML_FAST_NAMESPACE::inner {

/// theta' = theta - rate * g (torch.optim.SGD without momentum).
struct Sgd {
  static constexpr const char* name = "sgd";
  static constexpr int kStates = 0;

  template <class V>
  FOMAML_FAST_INLINE static V step(const Parameters&, V theta, V g, V* /*state*/, V rate,
                                   Index /*t*/) {
    return theta - rate * g;
  }

  /// `co_state` holds the cotangent of the new state, and receives that of the old one.
  template <class V>
  FOMAML_FAST_INLINE static Pullback<V> pullback(const Parameters&, V co_theta, V* /*co_state*/,
                                                 V /*theta*/, V g, const V* /*state*/, V rate,
                                                 Index /*t*/) {
    return {co_theta, -rate * co_theta, -co_theta * g};
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::inner
