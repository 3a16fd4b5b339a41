// adapt: theta_S of every task.
#pragma once

#include "engines/rows/adaptation.hpp"
#include "engines/rows/operation.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

template <class T>
class Adapt {
 public:
  struct Shared {
    Shared(const Problem& problem, const Plan<T>& plan, Arena& arena) {
      if (!problem.theta_per_task) theta = Weights<T>::carve(plan, arena);
    }
    Weights<T> theta;
  };

  struct Worker {
    Worker(const Problem& problem, const Plan<T>& plan, const Shared& /*shared*/, Arena& arena)
        : adaptation(problem, plan, false, arena) {}
    Adaptation<T> adaptation;
  };

  static void run(const Frame<T>& frame, const Shared& shared, Worker& worker, Team& team) {
    if (!frame.problem.theta_per_task) {
      pack_shared(frame.plan, frame.call.theta, shared.theta, team);
    }
    team.share(frame.problem.tasks, [&](Index task) {
      const bool finite =
          worker.adaptation.run(frame.problem, frame.call, frame.plan, shared.theta, task, false);
      if (!finite) frame.call.diverged[task] = 1;
      if (frame.call.task_vectors == nullptr) return;
      unpack(frame.plan, worker.adaptation.theta(frame.plan, frame.problem.algorithm.steps),
             frame.call.task_vectors + task * frame.plan.parameters);
    });
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::rows
