#include "api/workers.hpp"

#include <algorithm>
#include <atomic>

#include "api/operations.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

// Operations per microsecond of one thread on small networks: small layers never reach the peak.
constexpr double kUsualPace = 20e3;
// A region costs about 1 us while the workers still spin, and 70-80 us once they sleep
// (docs/performance.md): the work must be worth a few of them.
constexpr double kWarmMicroseconds = 8;
constexpr double kColdMicroseconds = 150;
// What a step of one task takes beside its products.
constexpr double kStepMicroseconds = 0.1;

using Clock = std::chrono::steady_clock;
using Microseconds = std::chrono::duration<double, std::micro>;

// A run is held up if it takes this much longer than one thread would have.
constexpr double kHeldUpFactor = 4;
constexpr double kHeldUpMicroseconds = 2000;
// Trying again costs about as much as was lost. The first time that is soon done; while it goes on,
// a twentieth of the time is spent on it; runs that are not held up bring the patience back.
constexpr double kShortestPause = 2, kLongestPause = 20, kGrowth = 2, kDecay = 0.95;

// More threads than any machine of today runs at once; systems refuse to start too many.
constexpr int kMostWorkers = 1024;

std::atomic<Clock::rep> alone_until{0};
// One thread's pace by which runs are judged, and the pace of the run that was last found held up.
std::atomic<double> pace{kUsualPace}, suspected_pace{0};
// Pause after the next run that is held up, in times of how long it took.
std::atomic<double> next_pause{kShortestPause};

/// Threads that find work: one a task, or all in the products of a single wide one.
int useful_workers(const Problem& problem, int workers, bool shares_products) {
  if (problem.tasks != 1) {
    return static_cast<int>(std::min<Index>(workers, std::max<Index>(problem.tasks, 1)));
  }
  const Index rows = std::max(problem.support.longest, problem.query.longest);
  for (int l = 0; shares_products && l < problem.net.depth; ++l) {
    if (is_worth_sharing(rows, problem.net.fan_out(l), problem.net.fan_in(l))) return workers;
  }
  return 1;
}

double microseconds_alone(const Problem& problem) { return operations(problem) / kUsualPace; }

}  // namespace

bool crowded() {
  Clock::rep until = alone_until.load(std::memory_order_relaxed);
  if (until == 0) return false;
  if (Clock::now().time_since_epoch().count() < until) return true;
  alone_until.compare_exchange_strong(until, 0);
  return false;
}

void learn_from(const Problem& problem, int workers, Clock::duration elapsed) {
  const double took = std::max(Microseconds(elapsed).count(), 1e-3), work = operations(problem);
  const double found = work / took;
  if (workers == 1) {
    const bool worth_sharing = microseconds_alone(problem) >= kColdMicroseconds;
    if (!worth_sharing || found > suspected_pace.load()) return;
    pace.store(found);
    alone_until.store(0);
    next_pause.store(kShortestPause);
    return;
  }
  if (took < kHeldUpMicroseconds + kHeldUpFactor * work / pace.load()) {
    // Faster work than what set the pace.
    const double each = std::min(kUsualPace, found / workers);
    if (each > pace.load(std::memory_order_relaxed)) pace.store(each);
    const double factor = next_pause.load(std::memory_order_relaxed);
    if (factor > kShortestPause) next_pause.store(std::max(kShortestPause, kDecay * factor));
    return;
  }
  suspected_pace.store(found);
  const double factor = next_pause.load();
  next_pause.store(std::min(kLongestPause, kGrowth * factor));
  const auto pause = std::chrono::duration_cast<Clock::duration>(factor * elapsed);
  alone_until.store((Clock::now().time_since_epoch() + pause).count(), std::memory_order_relaxed);
}

bool is_brief(const Problem& problem) {
  // Conjugate gradients take as long as they need; tiny steps longer than their products.
  const auto steps = static_cast<double>(problem.tasks) * (1 + problem.algorithm.steps);
  return problem.algorithm.flow != Flow::implicit &&
         microseconds_alone(problem) + kStepMicroseconds * steps < kColdMicroseconds;
}

int worthwhile_workers(const Problem& problem, const Execution& execution, bool shares_products) {
  const int workers = std::min(execution.workers, kMostWorkers);
  if (execution.exact) return workers;
  const double expected = microseconds_alone(problem);
  if (expected < kWarmMicroseconds) return 1;
  if (expected < kColdMicroseconds && !parallel::warm()) return 1;
  return useful_workers(problem, workers, shares_products);
}

}  // namespace FOMAML_FAST_NAMESPACE::api
