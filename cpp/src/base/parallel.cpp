#include "base/parallel.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>

#if defined(FOMAML_FAST_THREADS_OPENMP)
#include <omp.h>
#elif defined(FOMAML_FAST_THREADS_STD)
#include <thread>
#include <vector>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

#include "base/processors.hpp"

namespace FOMAML_FAST_NAMESPACE {

namespace {

using Clock = std::chrono::steady_clock;

#if defined(FOMAML_FAST_THREADS_OPENMP)
// libgomp's workers do not survive fork, and its next region in the child would wait for them for
// ever: a forked child computes alone.
std::atomic<bool> forked_after_use{false};
std::atomic<bool> used{false};

void watch_forks() {
#if defined(__unix__) || defined(__APPLE__)
  static const int registered = pthread_atfork(nullptr, nullptr, [] {
    if (used.load()) forked_after_use.store(true);
  });
  (void)registered;
#endif
}
#endif

// Workers spin for a while after a region, then sleep (GOMP_SPINCOUNT: some milliseconds).
constexpr std::chrono::milliseconds kStayAwake{2};
std::atomic<Clock::rep> last_region{-1};

/// 0 if it is no such number. `list`: others may follow behind a comma.
int positive_from_environment(const char* name, bool list) {
  const char* text = std::getenv(name);
  if (text == nullptr) return 0;
  int number = 0;
  const char* const end = text + std::strlen(text);
  const auto [rest, error] = std::from_chars(text, end, number);
  return error == std::errc() && (rest == end || (list && *rest == ',')) ? std::max(0, number) : 0;
}

}  // namespace

namespace parallel {

const char* backend() {
#if defined(FOMAML_FAST_THREADS_OPENMP)
  return "openmp";
#elif defined(FOMAML_FAST_THREADS_STD)
  return "std";
#else
  return "none";
#endif
}

int requested_workers() { return positive_from_environment("FOMAML_FAST_NUM_THREADS", false); }

int default_workers() {
  static const int workers = [] {
    if (const int own = requested_workers()) return own;
    if (const int openmp = positive_from_environment("OMP_NUM_THREADS", true)) return openmp;
    return usable_processors();
  }();
  return workers;
}

bool warm() {
  const Clock::rep last = last_region.load(std::memory_order_relaxed);
  if (last < 0) return false;
  return Clock::now().time_since_epoch() - Clock::duration(last) < Clock::duration(kStayAwake);
}

namespace {
thread_local int spare_workers = 1;
}

Spare::Spare(int workers) : before_(spare_workers) { spare_workers = workers; }
Spare::~Spare() { spare_workers = before_; }
int Spare::workers() {
#if defined(FOMAML_FAST_THREADS_STD)
  return 1;  // threads that are started for every region cost more than a product
#else
  return spare_workers;
#endif
}

namespace {

// What the calling thread asked of its next region, and what it got.
thread_local bool watched = false, afresh_asked = false;
thread_local Delays noted;
// Of this thread when it was last asked.
thread_local std::chrono::nanoseconds waited{-1};

/// One worker's part in a region.
void work(Team team, Team::Common& shared, Region region, void* context) {
  if (shared.reports_delays && (shared.starts_afresh || waited.count() < 0)) {
    waited = waited_for_processor();
  }
  region(context, team);
  if (shared.reports_delays && waited.count() >= 0) {
    const std::chrono::nanoseconds now = waited_for_processor();
    shared.delays.fetch_add((now - waited).count());
    waited = now;
  }
  team.leave();
}

[[maybe_unused]] void ask(Team::Common& shared) {
  shared.reports_delays = watched;
  shared.starts_afresh = afresh_asked;
}

[[maybe_unused]] void note(const Team::Common& shared) {
  noted.overdue += shared.overdue;
  if (!watched) return;
  noted.known = waited.count() >= 0;
  noted.waiting += std::chrono::nanoseconds(shared.delays.load());
  watched = false;
}

}  // namespace

void watch(bool afresh) {
  if (afresh) noted = {};
  watched = true;
  afresh_asked = afresh;
}

Delays delays() {
  const Delays all = noted;
  noted = {};
  return all;
}

bool run(int workers, const Interrupt& interrupt, Region region, void* context) {
#if defined(FOMAML_FAST_THREADS_OPENMP)
  // Inside somebody's parallel region the processors are taken already.
  const bool alone = workers <= 1 || forked_after_use.load() || omp_in_parallel() != 0;
  if (!alone) {
    watch_forks();
    used.store(true);
    Team::Common shared(interrupt);
    ask(shared);
#pragma omp parallel num_threads(workers)
    work(Team(omp_get_thread_num(), omp_get_num_threads(), &shared), shared, region, context);
    note(shared);
    last_region.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
    return !shared.stop.load();
  }
#elif defined(FOMAML_FAST_THREADS_STD)
  if (workers > 1) {
    Team::Common shared(interrupt);
    ask(shared);
    std::vector<std::thread> threads;
    threads.reserve(static_cast<std::size_t>(workers - 1));
    for (int worker = 1; worker < workers; ++worker) {
      threads.emplace_back(
          [&, worker] { work(Team(worker, workers, &shared), shared, region, context); });
    }
    work(Team(0, workers, &shared), shared, region, context);
    for (std::thread& thread : threads) thread.join();
    note(shared);
    return !shared.stop.load();
  }
#endif
  (void)workers;
  TeamState shared(interrupt);
  Team team(0, 1, &shared);
  region(context, team);
  return !shared.stop.load();
}

}  // namespace parallel
}  // namespace FOMAML_FAST_NAMESPACE
