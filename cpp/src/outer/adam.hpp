#pragma once

#include <cmath>

#include "outer/optimizer.hpp"

namespace FOMAML_FAST_NAMESPACE::outer {

/// Kingma & Ba 2015 as torch.optim.Adam: epsilon is added after the bias correction; amsgrad is
/// Reddi et al. 2018. Where the root and epsilon are both 0, nothing moves.
struct Adam {
  static constexpr const char* name = "adam";
  static constexpr Option options[] = {
      {"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-8}, {"weight_decay", 0}, {"amsgrad", 0}};

  static int moments(const Parameters& p) { return p.value[4] != 0 ? 3 : 2; }

  template <class T>
  struct Coefficients {
    T beta1, fresh1, beta2, fresh2, eps, l2, decay, rate, inverse_root_correction2;
    bool amsgrad;
  };
  template <class T>
  static Coefficients<T> prepare(const Parameters& p, double lr, Index t) {
    const double beta1 = p.value[0], beta2 = p.value[1], time = static_cast<double>(t);
    Coefficients<T> c{};
    c.beta1 = static_cast<T>(beta1);
    c.fresh1 = static_cast<T>(1 - beta1);
    c.beta2 = static_cast<T>(beta2);
    c.fresh2 = static_cast<T>(1 - beta2);
    c.eps = static_cast<T>(p.value[2]);
    c.l2 = static_cast<T>(p.value[3]);
    c.decay = 1;
    c.rate = static_cast<T>(lr / (1 - std::pow(beta1, time)));
    c.inverse_root_correction2 = static_cast<T>(1 / std::sqrt(1 - std::pow(beta2, time)));
    c.amsgrad = p.value[4] != 0;
    return c;
  }

  template <class V, class T>
  FOMAML_FAST_INLINE static V step(const Coefficients<T>& c, V theta, V g, V* moments) {
    theta *= c.decay;
    g += theta * c.l2;
    moments[0] = moments[0] * c.beta1 + g * c.fresh1;
    moments[1] = moments[1] * c.beta2 + g * g * c.fresh2;
    V second = moments[1];
    if (c.amsgrad) second = moments[2] = max(moments[2], second);
    // NaN where g g has overflowed: a step of 0 would hide it.
    const V overflow = second - second;
    const V denominator = math::sqrt(second) * c.inverse_root_correction2 + c.eps + overflow;
    return select(denominator == V{}, theta, theta - moments[0] * c.rate / denominator);
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::outer
