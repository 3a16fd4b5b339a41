#pragma once

#include "outer/optimizer.hpp"

namespace FOMAML_FAST_NAMESPACE::outer {

/// torch.optim.SGD.
struct Sgd {
  static constexpr const char* name = "sgd";
  static constexpr Option options[] = {
      {"momentum", 0}, {"dampening", 0}, {"weight_decay", 0}, {"nesterov", 0}};

  static int moments(const Parameters& p) { return p.value[0] == 0 ? 0 : 1; }

  template <class T>
  struct Coefficients {
    T rate, momentum, fresh, weight_decay;
    bool has_buffer, nesterov;
  };
  template <class T>
  static Coefficients<T> prepare(const Parameters& p, double lr, Index t) {
    // The buffer starts as the first gradient, undampened.
    const double fresh = t == 1 ? 1.0 : 1.0 - p.value[1];
    return {static_cast<T>(lr),    static_cast<T>(p.value[0]),
            static_cast<T>(fresh), static_cast<T>(p.value[2]),
            p.value[0] != 0,       p.value[3] != 0};
  }

  template <class V, class T>
  FOMAML_FAST_INLINE static V step(const Coefficients<T>& c, V theta, V g, V* moments) {
    g += theta * c.weight_decay;
    if (c.has_buffer) {
      moments[0] = moments[0] * c.momentum + g * c.fresh;
      g = c.nesterov ? g + moments[0] * c.momentum : moments[0];
    }
    return theta - g * c.rate;
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::outer
