// The meta-gradient, first order and exact.
//
// Tasks are cut into blocks that depend on their number alone; every block adds up its own partial
// sum, and the partial sums are added in order. In first order a block runs the queries of several
// tasks before it forms their gradient, so that it is one product over many rows. Large layers are
// deferred until a round of tasks is through: see deferred.hpp.
#pragma once

#include "engines/partial_sums.hpp"
#include "engines/rows/adaptation.hpp"
#include "engines/rows/curvature.hpp"
#include "engines/rows/deferred.hpp"
#include "engines/rows/operation.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

template <class T>
class MetaGradient {
 public:
  struct CallBuffers {
    CallBuffers(const Problem& problem, const Shapes<T>& shapes, Arena& arena);
    bool exact;
    bool apart;        ///< every task's gradient is formed on its own
    Weights<T> theta;  ///< where all tasks share one
    Deferred<T> deferred;
    PartialSums<T> sums;   ///< of packed parameters that are not deferred, a leading part
    Index group_rows = 0;  ///< query rows that are differentiated together
  };

  struct Worker {
    Worker(const Problem& problem, const Shapes<T>& shapes, const CallBuffers& shared,
           Arena& arena);
    Adaptation<T> adaptation;
    Pass<T> query;
    TargetPacks<T> query_targets;
    CurvatureScratch<T> curvature;
    Weights<T> gradient;  ///< of one task, where they are formed apart
  };

  static void run(const Frame<T>& frame, const CallBuffers& shared, Worker& worker, Team& team);

 private:
  /// One worker at one block of tasks.
  struct Block {
    const Frame<T>& frame;
    const CallBuffers& shared;
    Worker& worker;
    Team& team;
    Round round;
    Index first, last;
    T* partial;
    T* error;

    void in_groups();
    void one_by_one();
    void leave_rows();

   private:
    bool adapt_and_query(Index task, const Pass<T>& pass);
    void task_gradient(Index task);
    void through_steps(Index task);
    void dual_gradient(Index task);
    void add_to_partial(bool from_zero);
    void flag(Index task, bool finite) {
      if (!finite) frame.call.diverged[task] = 1;
    }
  };
  static void reduce(const Frame<T>& frame, const CallBuffers& shared, Team& team);
};

}  // namespace FOMAML_FAST_NAMESPACE::rows
