#pragma once

#include "inner/optimizer.hpp"

namespace FOMAML_FAST_NAMESPACE::inner {

/// Adagrad (Duchi, Hazan & Singer 2011) as torch.optim.Adagrad: the rate of step t is divided by
/// 1 + (t - 1) lr_decay, the sum of squares starts at initial_accumulator_value.
struct Adagrad {
  static constexpr const char* name = "adagrad";
  static constexpr Option options[] = {
      {"lr_decay", 0}, {"initial_accumulator_value", 0}, {"eps", 1e-10}};
  static constexpr int kStates = 1;  // the sum of squares, without what it started at
  static int states(const Parameters&) { return kStates; }

  template <class V>
  class At {
   public:
    At(const Parameters& p, Index t)
        : slowed_(constant<V>(1 / (1 + static_cast<double>(t - 1) * p.value[0]))),
          start_(constant<V>(p.value[1])),
          eps_(constant<V>(p.value[2])) {}

    FOMAML_FAST_INLINE V direction(V g, V* state) const {
      state[0] += g * g;
      return RootScaled<V>(start_ + state[0], eps_).value(g) * slowed_;
    }
    FOMAML_FAST_INLINE V pullback(V co_direction, V g, const V* state, V* co_state) const {
      const RootScaled<V> scaled(start_ + (state[0] + g * g), eps_);
      const V co_scaled = co_direction * slowed_;
      co_state[0] += scaled.co_q(co_scaled, g);
      return scaled.co_x(co_scaled) + (g + g) * co_state[0];
    }

   private:
    V slowed_, start_, eps_;
  };
};

}  // namespace FOMAML_FAST_NAMESPACE::inner
