#include "api/crowd.hpp"

#include <algorithm>
#include <cmath>

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

using std::chrono::milliseconds;
using Seconds = std::chrono::duration<double>;

// Asking costs each thread 1.5 us: often enough to give way soon, seldom enough to cost nothing.
constexpr milliseconds kBetweenNotes{5};
// What happened in a longer pause between two calls is none of their business.
constexpr milliseconds kPause{2};
// Threads are put aside for some milliseconds at a time: once says little.
constexpr milliseconds kSpan{20};
// Processors' worth of waiting that a quiet machine never reaches.
constexpr double kWaiting = 0.3;
// Processors' worth of idling at which a thread will find one.
constexpr double kIdle = 0.7;

// Idle times are told in hundredths of a second.
constexpr milliseconds kBetweenLooks{100};
// Where threads had returned and had to give way again soon, they wait longer.
constexpr milliseconds kShortestHold{100}, kLongestHold{3200};
constexpr int kSoon = 10;

}  // namespace

int Crowd::limit(int workers) const {
  return taken_ == 0 ? workers : std::clamp(processors_ - taken_, 1, workers);
}

Crowd::Wish Crowd::before(Clock::time_point now, bool several) {
  started_ = now;
  if (taken_ > 0 && now - looked_ >= kBetweenLooks) return Wish::idle;
  if (!several) return Wish::nothing;
  fresh_ = ended_ == Clock::time_point{} || now - ended_ > kPause;
  if (fresh_) return Wish::fresh_delays;
  return now - noted_ >= kBetweenNotes ? Wish::delays : Wish::nothing;
}

void Crowd::ran(Clock::time_point now, const parallel::Delays* delays) {
  ended_ = now;
  if (delays == nullptr) return;
  const Clock::duration span = now - (fresh_ ? started_ : noted_);
  noted_ = now;
  span_ += span;
  waiting_ += delays->known ? delays->waiting : delays->overdue;
  // A wait of one that has not run yet is told later, and so may be longer than the span.
  const double over = Seconds(std::max<Clock::duration>(span_, kSpan)).count();
  const double waiting = Seconds(waiting_).count() / over;
  if (waiting > kWaiting) {
    give_way(now, static_cast<int>(std::ceil(waiting - kWaiting)));
  } else if (span_ >= kSpan) {
    span_ = waiting_ = Clock::duration(0);
  }
}

void Crowd::idle(Clock::time_point now, std::chrono::nanoseconds time) {
  const std::chrono::nanoseconds before = idle_;
  const Clock::duration span = now - looked_;
  idle_ = time;
  looked_ = now;
  if (taken_ == 0 || now < held_until_) return;
  if (time.count() < 0) {
    return_to(now, taken_);  // nothing but trying tells
  } else if (before.count() >= 0) {
    const double processors = Seconds(time - before) / Seconds(span);
    return_to(now, static_cast<int>(processors + 1 - kIdle));
  }
}

void Crowd::give_way(Clock::time_point now, int processors) {
  const bool soon = returned_ != Clock::time_point{} && now - returned_ < kSoon * hold_;
  hold_ = soon ? std::min<Clock::duration>(2 * hold_, kLongestHold) : kShortestHold;
  held_until_ = now + hold_;
  taken_ = std::min(taken_ + processors, processors_ - 1);
  span_ = waiting_ = Clock::duration(0);
  looked_ = {};
  idle_ = std::chrono::nanoseconds(-1);
}

void Crowd::return_to(Clock::time_point now, int processors) {
  if (processors <= 0) return;
  taken_ = std::max(0, taken_ - processors);
  returned_ = now;
  ended_ = {};
}

}  // namespace FOMAML_FAST_NAMESPACE::api
