#pragma once

#include "outer/adam.hpp"

namespace FOMAML_FAST_NAMESPACE::outer {

/// Adam with decoupled weight decay (Loshchilov & Hutter 2019) as torch.optim.AdamW: theta is
/// shrunk by 1 - lr * weight_decay before the step.
struct AdamW : Adam {
  static constexpr const char* name = "adamw";
  static constexpr Option options[] = {
      {"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-8}, {"weight_decay", 0.01}, {"amsgrad", 0}};

  template <class T>
  static Coefficients<T> prepare(const Parameters& p, double lr, Index t) {
    Coefficients<T> c = Adam::prepare<T>(p, lr, t);
    c.decay = static_cast<T>(1 - lr * p.value[3]);
    c.l2 = 0;
    return c;
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::outer
