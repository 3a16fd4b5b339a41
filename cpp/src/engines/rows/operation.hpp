// The frame of every operation: shared buffers, a worker's own, one parallel region.
//
// An operation is a class template with
//   CallBuffers(problem, shapes, arena)           buffers of the call
//   Worker(problem, shapes, shared, arena)   buffers of one worker
//   run(frame, shared, worker, team)
// The two constructors carve from the arena they are given, counting or real.
#pragma once

#include "engines/rows/shapes.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

template <class T>
struct Frame {
  const Problem& problem;
  const Call<T>& call;
  const Shapes<T>& shapes;
};

/// Workers that share the tasks, or the rows of a single task. Rows can be shared only where
/// nothing is summed over them.
inline int team_size(const Problem& problem, int workers) {
  const bool shares_rows =
      problem.operation == Operation::predict || problem.operation == Operation::loss;
  return problem.tasks == 1 && !shares_rows ? 1 : workers;
}

template <class Body, class T>
std::size_t operation_bytes(const Problem& problem, int workers) {
  const Shapes<T> shapes(problem);
  Arena arena;
  const typename Body::CallBuffers shared(problem, shapes, arena);
  Arena one;
  typename Body::Worker(problem, shapes, shared, one);
  return WorkerArenas(arena.used(), one.used()).bytes(team_size(problem, workers));
}

template <class Body, class T>
Status run_operation(const Problem& problem, const Call<T>& call, const Execution& execution,
                     std::byte* memory) {
  const Shapes<T> shapes(problem);
  Arena arena(memory);
  const typename Body::CallBuffers shared(problem, shapes, arena);
  const Frame<T> frame{problem, call, shapes};
  const int workers = team_size(problem, execution.workers);
  const parallel::Spare spare(workers == 1 ? execution.workers : 1);
  Arena one;
  if (workers > 1) typename Body::Worker(problem, shapes, shared, one);
  const WorkerArenas arenas(arena.used(), one.used());
  const bool finished = parallel::run(workers, execution.interrupt, [&](Team& team) {
    const Watch::Region watched(team);
    Arena own = arenas.of(team.worker(), memory);
    typename Body::Worker worker(problem, shapes, shared, own);
    Body::run(frame, shared, worker, team);
  });
  return finished ? Status::ok : Status::interrupted;
}

}  // namespace FOMAML_FAST_NAMESPACE::rows
