// predict … gnvp: one pass over the rows of every task, a stretch at a time.
#pragma once

#include "engines/rows/curvature.hpp"
#include "engines/rows/operation.hpp"
#include "engines/rows/packing.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

/// Rows that go through the network together: their activations stay in the cache, and memory does
/// not grow with the rows of a task.
inline constexpr Index kStretch = 192;
inline constexpr const char* kInStretches = "batch normalisation of sets longer than 192 rows";
static_assert(kStretch == 192, "the text says so");

template <class T>
class Evaluate {
 public:
  struct CallBuffers {
    CallBuffers(const Problem& problem, const Shapes<T>& shapes, Arena& arena);
    Weights<T> theta;  ///< where all tasks share one
    T* stretch_losses = nullptr;
    Index stretches = 1;  ///< of the longest task
  };

  struct Worker {
    Worker(const Problem& problem, const Shapes<T>& shapes, const CallBuffers& shared,
           Arena& arena);
    Weights<T> theta;   ///< of the task, where each has its own
    Weights<T> vector;  ///< the task's tangent, where it has to be packed
    Weights<T> result;  ///< its gradient or Hv, where it has to be unpacked
    /// Of tasks of many stretches: the result of those before, and what adding them up has lost.
    T *sum = nullptr, *error = nullptr;
    Pass<T> pass;
    TargetPacks<T> targets;
    LossScratch<T> loss;
    CurvatureScratch<T> curvature;
  };

  static void run(const Frame<T>& frame, const CallBuffers& shared, Worker& worker, Team& team);

 private:
  static Weights<T> theta_of(const Frame<T>& frame, const CallBuffers& shared, const Worker& worker,
                             Index task);
  static Targeted<T> targets_of(const Frame<T>& frame, const Worker& worker, Index task,
                                Index first, Index count);
  static void predict(const Frame<T>& frame, const Weights<T>& theta, const Worker& worker,
                      Index task, Index stretch);
  static T loss_of(const Frame<T>& frame, const Weights<T>& theta, const Worker& worker, Index task,
                   Index stretch);
  static void predict_or_loss(const Frame<T>& frame, const CallBuffers& shared,
                              const Worker& worker, Team& team);
  static void jvp(const Frame<T>& frame, const CallBuffers& shared, const Worker& worker,
                  Index task);
  static T output_gradient(const Frame<T>& frame, const Worker& worker, const Targeted<T>& targets,
                           Index task, Index first);
  static void differentiate(const Frame<T>& frame, const CallBuffers& shared, const Worker& worker,
                            Index task);
};

}  // namespace FOMAML_FAST_NAMESPACE::rows
