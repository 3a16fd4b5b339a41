#pragma once

#include "inner/optimizer.hpp"

namespace FOMAML_FAST_NAMESPACE::inner {

/// Adam (Kingma & Ba 2015) as torch.optim.Adam: eps is added to the root of the corrected second
/// moment.
struct Adam {
  static constexpr const char* name = "adam";
  static constexpr Option options[] = {{"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-8}};
  static constexpr int kStates = 2;
  static int states(const Parameters&) { return kStates; }

  template <class V>
  class At {
   public:
    At(const Parameters& p, Index t)
        : beta1_(constant<V>(p.value[0])),
          beta2_(constant<V>(p.value[1])),
          new1_(constant<V>(1 - p.value[0])),
          new2_(constant<V>(1 - p.value[1])),
          correct1_(constant<V>(1 / (1 - std::pow(p.value[0], static_cast<double>(t))))),
          correct2_(constant<V>(1 / (1 - std::pow(p.value[1], static_cast<double>(t))))),
          eps_(constant<V>(p.value[2])) {}

    FOMAML_FAST_INLINE V direction(V g, V* state) const {
      advance(g, state);
      return RootScaled<V>(state[1] * correct2_, eps_).value(state[0] * correct1_);
    }
    FOMAML_FAST_INLINE V pullback(V co_direction, V g, const V* state, V* co_state) const {
      V next[kStates] = {state[0], state[1]};
      advance(g, next);
      const RootScaled<V> scaled(next[1] * correct2_, eps_);
      const V co_first = co_state[0] + scaled.co_x(co_direction) * correct1_;
      const V co_second = co_state[1] + scaled.co_q(co_direction, next[0] * correct1_) * correct2_;
      co_state[0] = beta1_ * co_first;
      co_state[1] = beta2_ * co_second;
      return new1_ * co_first + (new2_ + new2_) * g * co_second;
    }

   private:
    FOMAML_FAST_INLINE void advance(V g, V* moments) const {
      moments[0] = beta1_ * moments[0] + new1_ * g;
      moments[1] = beta2_ * moments[1] + new2_ * g * g;
    }
    V beta1_, beta2_, new1_, new2_, correct1_, correct2_, eps_;
  };
};

}  // namespace FOMAML_FAST_NAMESPACE::inner
