// Threads. The only room that knows OpenMP or std::thread.
//
// Work is cut into blocks by sizes alone, never by the number of workers, and each block writes
// its own place: results are the same bits for any number of threads.
#pragma once

#include <atomic>

#include "base/config.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// Asked now and then by the calling thread during long calls; true means stop.
struct Interrupt {
  bool (*requested)(void* context) = nullptr;
  void* context = nullptr;
};

/// The workers of one parallel region, as one of them sees it.
class Team {
 public:
  struct Shared;
  Team(int worker, int size, Shared* shared) : worker_(worker), size_(size), shared_(shared) {}

  [[nodiscard]] int worker() const { return worker_; }
  [[nodiscard]] int size() const { return size_; }

  /// Calls `body(block)` for this worker's contiguous share of `count` equal blocks.
  template <class Body>
  void share(Index count, Body&& body) {
    const Index first = count * worker_ / size_, last = count * (worker_ + 1) / size_;
    for (Index block = first; block < last && !stopped(); ++block) body(block);
  }

  /// All workers arrive before any goes on.
  void barrier();

  /// True once the caller asked to stop. Polls the interrupt hook on the calling thread.
  bool stopped();

 private:
  int worker_;
  int size_;
  Shared* shared_;
};

namespace parallel {

/// Name of the back end: "openmp", "std" or "none".
const char* backend();

/// Workers used when a call does not say: FOMAML_FAST_NUM_THREADS, then OMP_NUM_THREADS, then the
/// processors this process may run on.
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
