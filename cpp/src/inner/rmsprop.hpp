#pragma once

#include "inner/optimizer.hpp"

namespace FOMAML_FAST_NAMESPACE::inner {

/// RMSprop (Tieleman & Hinton 2012) as torch.optim.RMSprop: g over the root of the running mean of
/// its square, less the square of its running mean where `centered`; then momentum.
///
/// That difference v cancels where gradients hardly change. It has a recursion of its own, of terms
/// that are not negative (West 1979): v' = alpha (v + (1 - alpha) (g - mean)^2).
struct RmsProp {
  static constexpr const char* name = "rmsprop";
  static constexpr Option options[] = {
      {"alpha", 0.99}, {"eps", 1e-8}, {"momentum", 0}, {"centered", 0}};
  static constexpr int kStates = 3;  // what is under the root, the mean, the momentum buffer
  static int states(const Parameters& p) {
    return 1 + (p.value[3] != 0 ? 1 : 0) + (p.value[2] != 0 ? 1 : 0);
  }

  template <class V>
  class At {
   public:
    At(const Parameters& p, Index /*t*/)
        : centered_(p.value[3] != 0),
          has_momentum_(p.value[2] != 0),
          keep_(constant<V>(p.value[0])),
          add_(constant<V>(1 - p.value[0])),
          eps_(constant<V>(p.value[1])),
          momentum_(constant<V>(p.value[2])) {}

    FOMAML_FAST_INLINE V direction(V g, V* state) const {
      const V scaled = RootScaled<V>(spread(g, state), eps_).value(g);
      if (!has_momentum_) return scaled;
      V& velocity = state[velocity_place()];
      velocity = momentum_ * velocity + scaled;
      return velocity;
    }
    FOMAML_FAST_INLINE V pullback(V co_direction, V g, const V* state, V* co_state) const {
      const V mean = centered_ ? state[1] : V{};
      V next[kStates] = {state[0], mean, V{}};
      const RootScaled<V> scaled(spread(g, next), eps_);
      V co_scaled = co_direction;
      if (has_momentum_) {
        V& co_velocity = co_state[velocity_place()];
        co_scaled += co_velocity;
        co_velocity = momentum_ * co_scaled;
      }
      const V co_spread = co_state[0] + scaled.co_q(co_scaled, g);
      co_state[0] = keep_ * co_spread;
      const V co_g = scaled.co_x(co_scaled);
      if (!centered_) return co_g + (add_ + add_) * g * co_spread;
      const V co_deviation = (add_ + add_) * keep_ * (g - mean) * co_spread;
      const V co_mean = co_state[1];
      co_state[1] = keep_ * co_mean - co_deviation;
      return co_g + co_deviation + add_ * co_mean;
    }

   private:
    [[nodiscard]] FOMAML_FAST_INLINE int velocity_place() const { return centered_ ? 2 : 1; }
    /// Moves the means on; what stands under the root.
    FOMAML_FAST_INLINE V spread(V g, V* means) const {
      if (!centered_) return means[0] = keep_ * means[0] + add_ * g * g;
      const V deviation = g - means[1];
      means[1] = keep_ * means[1] + add_ * g;
      return means[0] = keep_ * (means[0] + add_ * deviation * deviation);
    }
    bool centered_, has_momentum_;
    V keep_, add_, eps_, momentum_;
  };
};

}  // namespace FOMAML_FAST_NAMESPACE::inner
