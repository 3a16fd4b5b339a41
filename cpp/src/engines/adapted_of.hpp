// What a problem adapts, and at which rates: the same in every engine, but for where parameters
// stand.
#pragma once

#include "engines/engine.hpp"
#include "inner/adapted.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// The rates of a call; those of single parameters are `per_parameter`, in the engine's layout.
template <class T>
inner::Rates<T> rates_of(const Problem& problem, const Call<T>& call, const T* per_parameter) {
  if (problem.algorithm.rates_per_parameter) return {nullptr, 1, 0, per_parameter};
  return {call.rates, call.rate_steps, problem.net.depth, nullptr};
}

/// Of flat vectors: theta as users have it, the context behind it.
template <class T>
class FlatAdapted {
 public:
  FlatAdapted(const Problem& problem, const Call<T>& call) {
    const Index P = problem.layout.n_params, context = problem.algorithm.context;
    const auto add = [&](inner::Segment segment) {
      segments_[static_cast<std::size_t>(adapted_.count++)] = segment;
    };
    if (context > 0) add({P, P + context, 0});  // one rate
    for (int l = 0; l < problem.net.depth; ++l) {
      if (!problem.algorithm.adapts(l)) continue;
      const LayerOffsets at = problem.layout.layer(problem.net, l);
      add({at.weight, at.end, l});
    }
    adapted_.segments = segments_.data();
    adapted_.size = P + context;
    adapted_.rates = rates_of(problem, call, call.rates);
  }
  FlatAdapted(const FlatAdapted&) = delete;
  FlatAdapted& operator=(const FlatAdapted&) = delete;

  [[nodiscard]] const inner::Adapted<T>& operator*() const { return adapted_; }

 private:
  std::array<inner::Segment, kMaxLayers> segments_{};
  inner::Adapted<T> adapted_;
};

}  // namespace FOMAML_FAST_NAMESPACE
