// Who else uses the processors, and what that leaves for the calls of one thread.
//
// Where a thread of a region is runnable and does not run, somebody else holds its processor:
// another process, or other threads of this one that compute or spin. The calls that follow then do
// without as many threads, until as many processors are idle.
#pragma once

#include <chrono>

#include "base/parallel.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

/// Decides by what it is told alone: it reads no clock and asks no system.
class Crowd {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Crowd(int processors) : processors_(processors) {}

  /// Processors that others hold.
  [[nodiscard]] int taken() const { return taken_; }

  /// Threads for a call that would be worth `workers` on a quiet machine.
  [[nodiscard]] int limit(int workers) const;

  enum class Wish { nothing, delays, fresh_delays, idle };
  /// Before a run at `now`, on several threads or, because of the crowd, on one: whether the run
  /// should note delays, or how long processors have been idle is wanted.
  Wish before(Clock::time_point now, bool several);

  /// After a run on several threads, from what `before` was told to `now`. `delays` only where they
  /// were wished for.
  void ran(Clock::time_point now, const parallel::Delays* delays);

  /// The processors' idle time so far, all together; negative where nobody knows.
  void idle(Clock::time_point now, std::chrono::nanoseconds time);

 private:
  void give_way(Clock::time_point now, int processors);
  void return_to(Clock::time_point now, int processors);

  int processors_;
  int taken_ = 0;

  // With several threads: what was noted since it was last judged.
  Clock::time_point started_{}, ended_{}, noted_{};
  bool fresh_ = false;
  Clock::duration span_{0}, waiting_{0};

  // While others hold processors.
  Clock::time_point held_until_{}, returned_{}, looked_{};
  Clock::duration hold_{0};
  std::chrono::nanoseconds idle_{-1};
};

}  // namespace FOMAML_FAST_NAMESPACE::api
