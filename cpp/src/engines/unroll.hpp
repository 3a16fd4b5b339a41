// The inner loop of one task, or of a group of neighbours, and what a call writes of it.
#pragma once

#include "engines/trace.hpp"
#include "meta/flow.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// Takes all steps of `count` tasks from `first` on. Returns 0 for tasks whose losses were finite.
/// `tasks` is what the flows (meta/flow.hpp) and traces (trace.hpp) ask for, and
///   V support_loss(k, theta)    the support loss alone, after the last step
template <class T, class V, class Tasks>
V unroll(const Problem& problem, const Call<T>& call, Index first, int count,
         const meta::Inputs<V>& inputs, Tasks& tasks) {
  Trace<T> trace(problem, call, first, count);
  const V wrong = meta::unroll(inputs, tasks, [&](int k, V loss) {
    if (k == 0 && call.support_losses != nullptr) {
      write_numbers(loss, count, call.support_losses + first);
    }
    if (problem.wants_trace) trace.at(k, loss, inputs.vectors, tasks);
  });
  if (problem.wants_trace) {
    const V* const last = inputs.vectors.theta(problem.algorithm.steps);
    tasks.use_step(problem.algorithm.steps);
    const V loss = trace.wants_last_loss() ? tasks.support_loss(last) : V{};
    trace.at(problem.algorithm.steps, loss, inputs.vectors, tasks);
  }
  return wrong;
}

/// What conjugate gradients came to.
template <class T, class V>
void report(const Call<T>& call, Index first, int count, const meta::Solution<V>& solution) {
  if (call.solver.residuals == nullptr) return;
  write_numbers(solution.residual, count, call.solver.residuals + first);
  for (int i = 0; i < count; ++i) {
    call.solver.iterations[first + i] =
        static_cast<std::int32_t>(number_of(solution.iterations, i));
    call.solver.indefinite[first + i] = number_of(solution.indefinite, i) > 0 ? 1 : 0;
  }
}

}  // namespace FOMAML_FAST_NAMESPACE
