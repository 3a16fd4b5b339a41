#pragma once

#include "inner/optimizer.hpp"

namespace FOMAML_FAST_NAMESPACE::inner {

/// Gradient descent; with momentum as torch.optim.SGD without dampening: b' = momentum b + g, and
/// the direction is b', or g + momentum b' (Nesterov).
struct Sgd {
  static constexpr const char* name = "sgd";
  static constexpr Option options[] = {{"momentum", 0}, {"nesterov", 0}};
  static constexpr int kStates = 1;
  static int states(const Parameters& p) { return p.value[0] == 0 ? 0 : 1; }
  static bool follows_gradient(const Parameters& p) { return states(p) == 0; }

  template <class V>
  class At {
   public:
    At(const Parameters& p, Index /*t*/)
        : has_momentum_(p.value[0] != 0),
          nesterov_(p.value[1] != 0),
          momentum_(constant<V>(p.value[0])) {}

    FOMAML_FAST_INLINE V direction(V g, V* state) const {
      if (!has_momentum_) return g;
      state[0] = momentum_ * state[0] + g;
      return nesterov_ ? g + momentum_ * state[0] : state[0];
    }
    FOMAML_FAST_INLINE V pullback(V co_direction, V /*g*/, const V* /*state*/, V* co_state) const {
      if (!has_momentum_) return co_direction;
      const V co_buffer = co_state[0] + (nesterov_ ? momentum_ * co_direction : co_direction);
      co_state[0] = momentum_ * co_buffer;
      return nesterov_ ? co_direction + co_buffer : co_buffer;
    }

   private:
    bool has_momentum_, nesterov_;
    V momentum_;
  };
};

}  // namespace FOMAML_FAST_NAMESPACE::inner
