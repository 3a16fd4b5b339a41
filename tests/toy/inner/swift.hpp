#pragma once

#include "inner/optimizer.hpp"

namespace FOMAML_FAST_NAMESPACE::inner {

/// Heavy ball with a cubic term: b = (1 - friction) b + g, d = b + b^3.
struct Swift {
  static constexpr const char* name = "swift";
  static constexpr Option options[] = {{"friction", 0.5}};
  static constexpr int kStates = 1;
  static int states(const Parameters&) { return kStates; }

  template <class V>
  class At {
   public:
    At(const Parameters& p, Index) : keep_(constant<V>(1 - p.value[0])) {}

    FOMAML_FAST_INLINE V direction(V g, V* state) const {
      state[0] = keep_ * state[0] + g;
      return state[0] + state[0] * state[0] * state[0];
    }
    FOMAML_FAST_INLINE V pullback(V co_direction, V g, const V* state, V* co_state) const {
      const V next = keep_ * state[0] + g;
      const V slope = broadcast<V>(1) + broadcast<V>(3) * next * next;
      const V co_next = co_state[0] + co_direction * slope;
      co_state[0] = keep_ * co_next;
      return co_next;
    }

   private:
    V keep_;
  };
};

}  // namespace FOMAML_FAST_NAMESPACE::inner
