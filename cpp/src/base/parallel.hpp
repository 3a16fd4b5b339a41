// Threads. The only room that knows OpenMP or std::thread.
//
// Work is cut into blocks by sizes alone, never by the number of workers, and each block writes
// its own place: results are the same bits for any number of threads.
#pragma once

#include "base/team.hpp"

namespace FOMAML_FAST_NAMESPACE {

namespace parallel {

/// Name of the back end: "openmp", "std" or "none".
const char* backend();

/// Workers used when a call does not say: FOMAML_FAST_NUM_THREADS, then OMP_NUM_THREADS, then the
/// processors that this process may run on and has a quota for.
int default_workers();
/// FOMAML_FAST_NUM_THREADS alone; 0 where it is not a number from 1.
int requested_workers();

/// Whether the workers of the last region are likely still awake.
bool warm();

/// While it lives, products of the calling thread may use so many workers: those that a call of one
/// task leaves idle.
class Spare {
 public:
  explicit Spare(int workers);
  ~Spare();
  Spare(const Spare&) = delete;
  Spare& operator=(const Spare&) = delete;

  /// Of the calling thread; 1 where nobody said more.
  static int workers();

 private:
  int before_;
};

/// How long the threads of a region were runnable and did not run.
struct Delays {
  bool known = false;                   ///< whether the system tells
  std::chrono::nanoseconds waiting{0};  ///< in the run queues, of all threads together
  std::chrono::nanoseconds overdue{0};  ///< of the caller, for others far beyond a fair time
};

/// Has the next region of the calling thread with several workers note delays: of the time since
/// the last that did or, `afresh`, of its own.
void watch(bool afresh);
/// What it noted, and forgets.
Delays delays();

using Region = void (*)(void* context, Team& team);

/// Runs `region` on `workers` threads, the caller being worker 0; false if it was interrupted.
bool run(int workers, const Interrupt& interrupt, Region region, void* context);

template <class Body>
bool run(int workers, const Interrupt& interrupt, Body&& body) {
  return run(
      workers, interrupt, [](void* context, Team& team) { (*static_cast<Body*>(context))(team); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace parallel
}  // namespace FOMAML_FAST_NAMESPACE
