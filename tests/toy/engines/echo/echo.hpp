// Outputs of plain networks, a number at a time: the smallest engine there is.
#pragma once

#include "engines/work.hpp"

namespace FOMAML_FAST_NAMESPACE {

namespace echo {

inline const char* unsupported(const Problem& problem) {
  if (problem.operation != Operation::predict) return "anything but outputs";
  return problem.net.normalized() ? "normalisation" : nullptr;
}

/// Says that nothing is cheaper, so that the planner takes it where it can.
inline double cost(const Problem&) { return 0.01; }

inline Work work(const Problem& problem, Index /*lanes*/) {
  return {operations(problem, PassCosts::nominal(problem.net))};
}

inline Index widest(const NetworkSpec& net) {
  return *std::max_element(net.sizes.begin(), net.sizes.begin() + net.depth + 1);
}

template <class T>
std::size_t workspace_bytes(const Problem& problem, int /*workers*/) {
  Arena arena;
  arena.take<T>(2 * widest(problem.net));
  return arena.used();
}

template <class T>
Status run(const Problem& problem, const Call<T>& call, const Execution&, std::byte* memory) {
  const NetworkSpec& net = problem.net;
  Arena arena(memory);
  T* const before = arena.take<T>(2 * widest(net));
  T* const after = before + widest(net);
  for (Index task = 0; task < problem.tasks; ++task) {
    const T* const theta = call.theta + task * call.theta_stride;
    const RowSet<T>& rows = call.support;
    const Index count = rows.count(task), first = rows.shared ? task * count : rows.first(task);
    for (Index row = 0; row < count; ++row) {
      std::copy_n(rows.x + (rows.first(task) + row) * net.inputs(), net.inputs(), before);
      for (int l = 0; l < net.depth; ++l) {
        const LayerOffsets at = problem.layout.layer(net, l);
        visit_activation(net.activation(l), [&](const auto activation) {
          for (Index j = 0; j < net.fan_out(l); ++j) {
            T sum = theta[at.bias + j];
            for (Index i = 0; i < net.fan_in(l); ++i) {
              sum += before[i] * theta[at.weight + i * net.fan_out(l) + j];
            }
            after[j] = activation.apply(sum);
          }
        });
        std::copy_n(after, net.fan_out(l), before);
      }
      std::copy_n(before, net.outputs(), call.outputs + (first + row) * net.outputs());
    }
  }
  return Status::ok;
}

}  // namespace echo

template <class T>
Engine<T> echo_engine() {
  return {"echo",      &echo::unsupported,        &echo::cost,
          &echo::work, &echo::workspace_bytes<T>, &echo::run<T>};
}

}  // namespace FOMAML_FAST_NAMESPACE
