// adapt: theta_S of every task.
#pragma once

#include "engines/rows/adaptation.hpp"
#include "engines/rows/operation.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

template <class T>
class Adapt {
 public:
  struct CallBuffers {
    CallBuffers(const Problem& problem, const Shapes<T>& shapes, Arena& arena) {
      if (!problem.theta_per_task) theta = Weights<T>::carve(shapes, arena);
    }
    Weights<T> theta;
  };

  struct Worker {
    Worker(const Problem& problem, const Shapes<T>& shapes, const CallBuffers& /*shared*/,
           Arena& arena)
        : adaptation(problem, shapes, false, arena) {}
    Adaptation<T> adaptation;
  };

  static void run(const Frame<T>& frame, const CallBuffers& shared, Worker& worker, Team& team) {
    if (!frame.problem.theta_per_task) {
      pack_shared(frame.shapes, frame.call.theta, shared.theta, team);
    }
    team.share(frame.problem.tasks, [&](Index task) {
      const bool finite =
          worker.adaptation.run(frame.problem, frame.call, frame.shapes, shared.theta, task, false);
      if (!finite) frame.call.diverged[task] = 1;
      if (frame.call.task_vectors == nullptr) return;
      unpack(frame.shapes, worker.adaptation.theta(frame.shapes, frame.problem.algorithm.steps),
             frame.call.task_vectors + task * frame.shapes.parameters);
    });
  }
};

}  // namespace FOMAML_FAST_NAMESPACE::rows
