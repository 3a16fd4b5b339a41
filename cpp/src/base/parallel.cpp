#include "base/parallel.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>

#if defined(FOMAML_FAST_THREADS_OPENMP)
#include <omp.h>
#elif defined(FOMAML_FAST_THREADS_STD)
#include <barrier>
#include <thread>
#include <vector>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

namespace FOMAML_FAST_NAMESPACE {

namespace {

using Clock = std::chrono::steady_clock;

// Long enough to cost nothing, short enough that Ctrl-C feels immediate.
constexpr std::chrono::milliseconds kPollEvery{50};

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

int available_processors() {
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
#if defined(FOMAML_FAST_THREADS_OPENMP)
  return std::max(1, omp_get_num_procs());
#elif defined(FOMAML_FAST_THREADS_STD)
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
#else
  return 1;
#endif
}

}  // namespace

struct Team::Shared {
  explicit Shared(const Interrupt& hook) : interrupt(hook) {
    if (interrupt.requested != nullptr) next_poll = Clock::now() + kPollEvery;
  }
  const Interrupt& interrupt;
  std::atomic<bool> stop{false};
  Clock::time_point next_poll;
#if defined(FOMAML_FAST_THREADS_STD)
  std::barrier<>* barrier = nullptr;
#endif
};

bool Team::stopped() {
  if (worker_ == 0 && shared_->interrupt.requested != nullptr &&
      Clock::now() > shared_->next_poll) {
    if (shared_->interrupt.requested(shared_->interrupt.context)) shared_->stop.store(true);
    shared_->next_poll = Clock::now() + kPollEvery;
  }
  return shared_->stop.load(std::memory_order_relaxed);
}

void Team::barrier() {
  if (size_ == 1) return;
#if defined(FOMAML_FAST_THREADS_OPENMP)
#pragma omp barrier
#elif defined(FOMAML_FAST_THREADS_STD)
  shared_->barrier->arrive_and_wait();
#endif
}

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
    return available_processors();
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

bool run(int workers, const Interrupt& interrupt, Region region, void* context) {
  Team::Shared shared(interrupt);
#if defined(FOMAML_FAST_THREADS_OPENMP)
  // Inside somebody's parallel region the processors are taken already.
  const bool alone = workers <= 1 || forked_after_use.load() || omp_in_parallel() != 0;
  if (!alone) {
    watch_forks();
    used.store(true);
#pragma omp parallel num_threads(workers)
    {
      Team team(omp_get_thread_num(), omp_get_num_threads(), &shared);
      region(context, team);
    }
    last_region.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
    return !shared.stop.load();
  }
#elif defined(FOMAML_FAST_THREADS_STD)
  if (workers > 1) {
    std::barrier<> barrier(workers);
    shared.barrier = &barrier;
    std::vector<std::thread> threads;
    threads.reserve(static_cast<std::size_t>(workers - 1));
    for (int worker = 1; worker < workers; ++worker) {
      threads.emplace_back([&, worker] {
        Team team(worker, workers, &shared);
        region(context, team);
      });
    }
    Team team(0, workers, &shared);
    region(context, team);
    for (std::thread& thread : threads) thread.join();
    return !shared.stop.load();
  }
#endif
  (void)workers;
  Team team(0, 1, &shared);
  region(context, team);
  return !shared.stop.load();
}

}  // namespace parallel
}  // namespace FOMAML_FAST_NAMESPACE
