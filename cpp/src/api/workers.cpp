#include "api/workers.hpp"

#include <algorithm>

#include "api/crowd.hpp"
#include "api/operations.hpp"
#include "base/processors.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

// Operations per microsecond of one thread on small networks: small layers never reach the peak.
constexpr double kUsualPace = 20e3;
// A region costs about 1 us while the workers still spin, and 70-80 us once they sleep
// (docs/notebook.md): the work must be worth a few of them.
constexpr double kWarmMicroseconds = 8;
constexpr double kColdMicroseconds = 150;
// What a step of one task takes beside its products.
constexpr double kStepMicroseconds = 0.1;

// Beyond, threads of one call only wait for each other, and a system that refuses to start one more
// ends the process: libgomp knows no other way.
constexpr int kMostAProcessor = 4, kMostAnywhere = 128;

int at_most(int workers) {
  if (workers <= kMostAnywhere) return workers;  // the system is asked for few calls
  return std::min(workers, std::max(kMostAnywhere, kMostAProcessor * allowed_processors()));
}

/// Of the calling thread: to it, another one that calls is part of the crowd.
Crowd& crowd() {
  thread_local Crowd own(allowed_processors());
  return own;
}

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

int present_workers(int worthwhile) { return worthwhile == 1 ? 1 : crowd().limit(worthwhile); }

Attendance::Attendance(int workers) : several_(workers > 1) {
  if (!several_ && crowd().taken() == 0) return;
  const Crowd::Clock::time_point now = Crowd::Clock::now();
  const Crowd::Wish wish = crowd().before(now, several_);
  if (wish == Crowd::Wish::idle) crowd().idle(now, idle_time());
  notes_ = wish == Crowd::Wish::delays || wish == Crowd::Wish::fresh_delays;
  if (notes_) parallel::watch(wish == Crowd::Wish::fresh_delays);
}

Attendance::~Attendance() {
  if (!several_) return;
  const parallel::Delays delays = notes_ ? parallel::delays() : parallel::Delays{};
  crowd().ran(Crowd::Clock::now(), notes_ ? &delays : nullptr);
}

bool is_brief(const Problem& problem) {
  // Conjugate gradients take as long as they need; tiny steps longer than their products.
  const auto steps = static_cast<double>(problem.tasks) * (1 + problem.algorithm.steps);
  return problem.algorithm.flow != Flow::implicit &&
         microseconds_alone(problem) + kStepMicroseconds * steps < kColdMicroseconds;
}

int worthwhile_workers(const Problem& problem, const Execution& execution, bool shares_products) {
  const int workers = at_most(execution.workers);
  if (execution.exact) return workers;
  const double expected = microseconds_alone(problem);
  if (expected < kWarmMicroseconds) return 1;
  if (expected < kColdMicroseconds && !parallel::warm()) return 1;
  return useful_workers(problem, workers, shares_products);
}

}  // namespace FOMAML_FAST_NAMESPACE::api
