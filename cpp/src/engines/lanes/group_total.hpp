// The weighted sum of many groups' meta-gradients, lane by lane.
#pragma once

#include "engines/lanes/lane_rows.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

/// Packs that a group adds, the gradient on the parameters and that on what is learned beside them.
template <class V>
struct GroupGradient {
  const V* lambda;
  Index size;
  const V* co_rate;
  Index n_rates;
};

/// total (+)= the tasks' weights times the gradient. Empty lanes add nothing, whatever has become
/// of them; where they start a total they may hold anything.
template <class T>
void add_to_total(const Call<T>& call, Group group, const GroupGradient<Vec<T>>& from, bool starts,
                  Vec<T>* total) {
  using V = Vec<T>;
  T lanes[kLanes<T>]{};
  for (Index lane = 0; lane < group.count; ++lane) {
    lanes[lane] = call.task_weights == nullptr ? T(1) : call.task_weights[group.first + lane];
  }
  const V weight = load<V>(lanes);
  const auto taken = first_lanes<T>(group.count) != V{};
  const auto add = [&](const V* x, Index count, V* to) {
    if (starts) {
      for (Index i = 0; i < count; ++i) to[i] = weight * x[i];
    } else {
      for (Index i = 0; i < count; ++i) to[i] += select(taken, weight * x[i], V{});
    }
  };
  add(from.lambda, from.size, total);
  add(from.co_rate, from.n_rates, total + from.size);
}

}  // namespace FOMAML_FAST_NAMESPACE::lanes
