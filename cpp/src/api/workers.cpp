#include "api/workers.hpp"

#include <algorithm>
#include <atomic>

#include "api/operations.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

// One thread's pace on small networks, conservatively: small layers never reach the peak.
constexpr double kOperationsPerMicrosecond = 20e3;
// A region costs about 1 us while the workers still spin, and 70-80 us once they sleep
// (docs/performance.md): the work must be worth a few of them.
constexpr double kWarmMicroseconds = 8;
constexpr double kColdMicroseconds = 150;

using Clock = std::chrono::steady_clock;
using Microseconds = std::chrono::duration<double, std::micro>;

// A run is held up if it takes this much longer than one thread would have.
constexpr double kHeldUpFactor = 4;
constexpr double kHeldUpMicroseconds = 2000;
// Trying again costs about as much as was lost: a twentieth of the time, then.
constexpr double kTryAgainAfter = 20;

std::atomic<Clock::rep> alone_until{0};

double microseconds_alone(const Problem& problem) {
  return operations(problem) / kOperationsPerMicrosecond;
}

bool crowded() {
  const Clock::rep until = alone_until.load(std::memory_order_relaxed);
  return until != 0 && Clock::now().time_since_epoch().count() < until;
}

}  // namespace

void learn_from(const Problem& problem, Clock::duration elapsed) {
  const double took = Microseconds(elapsed).count();
  if (took < kHeldUpMicroseconds + kHeldUpFactor * microseconds_alone(problem)) return;
  const auto pause = std::chrono::duration_cast<Clock::duration>(kTryAgainAfter * elapsed);
  alone_until.store((Clock::now().time_since_epoch() + pause).count(), std::memory_order_relaxed);
}

int worthwhile_workers(const Problem& problem, const Execution& execution) {
  if (crowded()) return 1;
  if (execution.exact) return execution.workers;
  const double needed = parallel::warm() ? kWarmMicroseconds : kColdMicroseconds;
  if (microseconds_alone(problem) < needed) return 1;
  return static_cast<int>(std::min<Index>(execution.workers, std::max<Index>(problem.tasks, 1)));
}

}  // namespace FOMAML_FAST_NAMESPACE::api
