// The workers of one parallel region, and how they share work out.
//
// A region is a sequence of shares: so many blocks, each worker's own stretch of them first, then
// what others have not begun. A share is over when its blocks are done, not when every worker has
// come by: one that the system has put aside holds up the block it is at, and nobody else's.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "base/config.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// Asked now and then by the calling thread during long calls; true means stop.
struct Interrupt {
  bool (*requested)(void* context) = nullptr;
  void* context = nullptr;
};

struct TeamState;

/// One worker's view of a region.
class Team {
 public:
  struct Common;
  /// `shared` is a Common where there are several workers.
  Team(int worker, int size, TeamState* shared) : worker_(worker), size_(size), shared_(shared) {}

  [[nodiscard]] int worker() const { return worker_; }
  [[nodiscard]] int size() const { return size_; }

  /// Calls `body(block)` for those of `count` blocks that this worker gets, once the share before
  /// is over. All workers make the same sequence of shares. Which worker gets a block differs from
  /// run to run. Blocks are skipped once the caller asked to stop.
  template <class Body>
  void share(Index count, Body&& body) {
    if (size_ == 1) {
      for (Index block = 0; block < count && !stopped(); ++block) body(block);
      return;
    }
    open(count);
    for (Stretch taken = claim(); taken.first < taken.last; taken = claim()) {
      for (Index block = taken.first; block < taken.last && !stopped(); ++block) body(block);
    }
    close();
  }

  /// Returns once the share before is over.
  void barrier() {
    if (size_ > 1 && !is_over()) wait_until_over();
  }

  /// True once the caller asked to stop. Polls the interrupt hook on the calling thread.
  bool stopped();

  /// Before a helper's end, and the caller's: its own returns once all helpers have left.
  void leave();

 private:
  using Clock = std::chrono::steady_clock;
  struct Stretch {
    Index first, last;
  };

  void open(Index count);
  Stretch claim();
  Stretch claim_of(int slot);
  void close();
  [[nodiscard]] bool is_over() const;
  void wait_until_over();
  template <class Over>
  void wait(Over&& over);
  void wake();
  [[nodiscard]] Common& common() const;

  int worker_;
  int size_;
  TeamState* shared_;
  // Of the share that is open, or was last.
  std::uint64_t share_ = 0;  ///< number of the share, from 1; 0 before
  Index count_ = 0;
  int slot_ = 0;       ///< whose stretch blocks are taken from
  Index taken_ = 0;    ///< blocks of this worker
  Index done_by_ = 0;  ///< blocks of all shares so far
  Clock::time_point opened_;
};

/// What a region of one worker needs.
struct TeamState {
  explicit TeamState(const Interrupt& hook);

  const Interrupt& interrupt;
  std::atomic<bool> stop{false};
  std::chrono::steady_clock::time_point next_poll;
};

/// What several workers have in common.
struct Team::Common : TeamState {
  /// Workers beyond that many have no stretch of their own.
  static constexpr int kSlots = 32;
  /// Number of the share, and blocks of the stretch that are taken.
  struct alignas(kLineBytes) Slot {
    std::atomic<std::uint64_t> taken{0};
  };

  using TeamState::TeamState;

  std::array<Slot, kSlots> slots;
  alignas(kLineBytes) std::atomic<Index> done{0};
  std::atomic<int> left{0};
  std::atomic<int> sleepers{0};
  std::mutex mutex;
  std::condition_variable bell;

  /// Whether workers say how long they have waited for a processor: since they last said, or since
  /// the region began.
  bool reports_delays = false;
  bool starts_afresh = false;
  std::atomic<std::int64_t> delays{0};  ///< in nanoseconds
  Clock::duration overdue{0};           ///< how long the caller has slept
};

}  // namespace FOMAML_FAST_NAMESPACE
