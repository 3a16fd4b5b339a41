#include "base/team.hpp"

#include <algorithm>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace FOMAML_FAST_NAMESPACE {

namespace {

// Long enough to cost nothing, short enough that Ctrl-C feels immediate.
constexpr std::chrono::milliseconds kPollEvery{50};

// A slot holds the number of the share above the blocks taken of it.
constexpr int kCountBits = 40, kShareBits = 24;
constexpr std::uint64_t kCountMask = (std::uint64_t{1} << kCountBits) - 1;
constexpr std::uint64_t kShareMask = (std::uint64_t{1} << kShareBits) - 1;

// Many blocks are taken several at a time, at most this part of what a worker would get.
constexpr Index kPieces = 64;

// Waiting for a worker that runs costs least awake, for one that was put aside asleep: it may be
// waiting for this very processor. Fair waits are as long as the last block of another.
constexpr std::chrono::microseconds kLeastPatience{50};
constexpr int kSpins = 16;

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

TeamState::TeamState(const Interrupt& hook) : interrupt(hook) {
  if (interrupt.requested != nullptr) next_poll = std::chrono::steady_clock::now() + kPollEvery;
}

bool Team::stopped() {
  if (shared_->stop.load(std::memory_order_relaxed)) return true;  // who said so is not asked again
  if (worker_ == 0 && shared_->interrupt.requested != nullptr &&
      Clock::now() > shared_->next_poll) {
    if (shared_->interrupt.requested(shared_->interrupt.context)) shared_->stop.store(true);
    shared_->next_poll = Clock::now() + kPollEvery;
  }
  return shared_->stop.load(std::memory_order_relaxed);
}

Team::Common& Team::common() const { return *static_cast<Common*>(shared_); }

void Team::open(Index count) {
  barrier();
  ++share_;
  count_ = count;
  slot_ = worker_;
  taken_ = 0;
  done_by_ += count;
  opened_ = Clock::now();
}

/// From the own stretch, then from the others': from each until nothing is left.
Team::Stretch Team::claim() {
  const int slots = std::min(size_, Common::kSlots);
  if (slot_ == worker_) {
    if (worker_ < slots) {
      const Stretch own = claim_of(worker_);
      if (own.first < own.last) return own;
    }
    ++slot_;
  }
  for (; slot_ < worker_ + slots + (worker_ < slots ? 0 : 1); ++slot_) {
    const Stretch other = claim_of(slot_ % slots);
    if (other.first < other.last) return other;
  }
  return {0, 0};
}

Team::Stretch Team::claim_of(int slot) {
  const int slots = std::min(size_, Common::kSlots);
  const Index first = count_ * slot / slots, length = count_ * (slot + 1) / slots - first;
  if (length == 0) return {0, 0};
  const Index piece = std::max<Index>(1, length / kPieces);
  std::atomic<std::uint64_t>& taken = common().slots[slot].taken;
  std::uint64_t before = taken.load(std::memory_order_relaxed);
  for (;;) {
    const std::uint64_t ahead = ((before >> kCountBits) - share_) & kShareMask;
    if (ahead != 0 && ahead <= kShareMask / 2) return {0, 0};  // over, others are further
    const Index from = ahead == 0 ? static_cast<Index>(before & kCountMask) : 0;
    if (from == length) return {0, 0};
    const Index to = std::min(length, from + piece);
    const std::uint64_t after = share_ << kCountBits | static_cast<std::uint64_t>(to);
    if (taken.compare_exchange_weak(before, after, std::memory_order_relaxed)) {
      taken_ += to - from;
      return {first + from, first + to};
    }
  }
}

void Team::close() {
  if (taken_ != 0 && common().done.fetch_add(taken_) + taken_ == done_by_) wake();
}

bool Team::is_over() const { return common().done.load() >= done_by_; }

void Team::wait_until_over() {
  wait([this] { return is_over(); });
}

void Team::leave() {
  if (size_ == 1) return;
  if (worker_ != 0) {
    if (common().left.fetch_add(1) + 1 == size_ - 1) wake();
    return;
  }
  const auto all_left = [this] { return common().left.load() == size_ - 1; };
  if (!all_left()) wait(all_left);
}

template <class Over>
void Team::wait(Over&& over) {
  for (int i = 0; i < kSpins; ++i) {
    if (over()) return;
    relax();
  }
  const Clock::time_point start = Clock::now();
  const Clock::duration block =
      taken_ == 0 ? Clock::duration(0) : (start - opened_) / static_cast<Clock::rep>(taken_);
  const Clock::time_point patient_until =
      start + std::max<Clock::duration>(kLeastPatience, block + block / 4);
  while (Clock::now() < patient_until) {
    for (int i = 0; i < kSpins; ++i) {
      if (over()) return;
      relax();
    }
  }
  {
    std::unique_lock lock(common().mutex);
    common().sleepers.fetch_add(1);
    while (!over()) {
      if (worker_ == 0) {
        common().bell.wait_for(lock, kPollEvery);
        lock.unlock();
        stopped();  // polls
        lock.lock();
      } else {
        common().bell.wait(lock);
      }
    }
    common().sleepers.fetch_sub(1);
  }
  if (worker_ == 0) common().overdue += Clock::now() - patient_until;
}

/// After what others wait for; sequentially consistent with `sleepers`.
void Team::wake() {
  if (common().sleepers.load() == 0) return;
  const std::lock_guard lock(common().mutex);
  common().bell.notify_all();
}

}  // namespace FOMAML_FAST_NAMESPACE
