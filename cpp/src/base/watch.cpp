#include "base/watch.hpp"

namespace FOMAML_FAST_NAMESPACE {

namespace {
constinit thread_local Watch watch;
}

Watch& Watch::of_thread() { return watch; }

bool Watch::ask() {
  done_ = 0;
  const bool stop = helped_ != nullptr ? helped_->stop_.load(std::memory_order_relaxed)
                                       : team_ != nullptr && team_->stopped();
  if (stop) stop_.store(true, std::memory_order_relaxed);
  return stop;
}

Watch::Region::Region(Team& team) : team_(watch.team_), helped_(watch.helped_) {
  watch.team_ = &team;
  watch.helped_ = nullptr;
  watch.stop_.store(false, std::memory_order_relaxed);
}

Watch::Region::Region(Watch& helped) : team_(watch.team_), helped_(watch.helped_) {
  if (&helped == &watch) return;  // the thread itself asks on
  watch.helped_ = &helped;
  watch.stop_.store(false, std::memory_order_relaxed);
}

Watch::Region::~Region() {
  watch.team_ = team_;
  watch.helped_ = helped_;
  if (team_ == nullptr && helped_ == nullptr) watch.stop_.store(false, std::memory_order_relaxed);
}

}  // namespace FOMAML_FAST_NAMESPACE
