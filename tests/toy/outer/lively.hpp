#pragma once

#include "outer/optimizer.hpp"

namespace FOMAML_FAST_NAMESPACE::outer {

/// A running mean m of the gradient, and theta - lr m / (softness + |m|).
struct Lively {
  static constexpr const char* name = "lively";
  static constexpr Option options[] = {{"keep", 0.5}, {"softness", 0.1}};

  static int moments(const Parameters&) { return 1; }

  template <class T>
  struct Coefficients {
    T rate, keep, fresh, softness;
  };
  template <class T>
  static Coefficients<T> prepare(const Parameters& p, double lr, Index /*t*/) {
    return {static_cast<T>(lr), static_cast<T>(p.value[0]), static_cast<T>(1 - p.value[0]),
            static_cast<T>(p.value[1])};
  }

  template <class V, class T>
  FOMAML_FAST_INLINE static V step(const Coefficients<T>& c, V theta, V g, V* moments) {
    moments[0] = moments[0] * c.keep + g * c.fresh;
    return theta - moments[0] * c.rate / (math::abs(moments[0]) + c.softness);
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::outer
