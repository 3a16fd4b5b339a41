// Stopping in the middle of long work.
//
// Blocks of a parallel region end where the caller asks to stop, but a block may be a million steps
// or rows. Loops that can be long therefore tell the watch of their thread how much they have done.
// It looks at the clock when that is worth it, and never in calls that nobody can interrupt.
#pragma once

#include "base/parallel.hpp"

namespace FOMAML_FAST_NAMESPACE {

class Watch {
 public:
  /// Operations that take some ms: more are done in pieces.
  static constexpr Index kLongest = Index{1} << 27;

  constexpr Watch() = default;

  /// Of the calling thread. It may be kept for as long as a loop runs.
  static Watch& of_thread();

  /// After about so many operations more: whether to stop. Once it says so, all loops of the region
  /// end at once; their results are unspecified.
  bool stopped(Index operations) {
    done_ += operations;
    return done_ < kAskAfter ? stop_.load(std::memory_order_relaxed) : ask();
  }

  /// While it lives, the calling thread's watch asks `team`; without hook, nobody.
  class Region {
   public:
    explicit Region(Team& team);
    /// For threads that help the one whose watch `helped` is: they stop when it does.
    explicit Region(Watch& helped);
    ~Region();
    Region(const Region&) = delete;
    Region& operator=(const Region&) = delete;

   private:
    Team* team_;
    Watch* helped_;
  };

 private:
  static constexpr Index kAskAfter = Index{1} << 21;  // some 0.1 ms

  bool ask();

  Team* team_ = nullptr;
  Watch* helped_ = nullptr;
  Index done_ = 0;
  std::atomic<bool> stop_{false};
};

}  // namespace FOMAML_FAST_NAMESPACE
