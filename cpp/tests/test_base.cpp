// base/: arenas count what they take, workspaces are reused, every block runs once for any team.
#include <atomic>
#include <limits>
#include <vector>

#include "base/arena.hpp"
#include "base/finite.hpp"
#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "check.hpp"

using namespace FOMAML_FAST_NAMESPACE;

namespace {

void arena_counts_what_it_takes() {
  const auto carve = [](Arena& arena) {
    arena.take<float>(3);
    arena.take<double>(17);
    return arena.take<char>(1);
  };
  Arena counting;
  CHECK(carve(counting) == nullptr);
  CHECK(counting.used() == 64 + 192 + 64);
  std::vector<std::byte> memory(counting.used());
  Arena real(memory.data());
  CHECK(reinterpret_cast<std::byte*>(carve(real)) == memory.data() + 256);
  CHECK(real.used() == counting.used());
}

void workers_arenas_lie_apart() {
  const std::size_t shared = 64, each = 192;
  const WorkerArenas arenas(shared, each);
  std::vector<std::byte> memory(arenas.bytes(3));
  const auto place = [&](int worker) {
    Arena arena = arenas.of(worker, memory.data());
    return static_cast<std::size_t>(arena.take<std::byte>(1) - memory.data());
  };
  CHECK(place(0) >= shared + 4096);
  for (const int worker : {1, 2}) {
    CHECK(place(worker) >= place(worker - 1) + each + (100 << 10));
    CHECK(place(worker) % Arena::kAlignment == 0);
  }
  CHECK(place(2) + each == memory.size());
}

void workspaces_are_reused_and_separate() {
  const std::byte* first = nullptr;
  {
    const Workspace one = Workspace::checkout(1000);
    const Workspace two = Workspace::checkout(1000);
    CHECK(one.memory() != nullptr && two.memory() != nullptr && one.memory() != two.memory());
    first = one.memory();
  }
  const Workspace a = Workspace::checkout(1000), b = Workspace::checkout(1000);
  CHECK(a.memory() == first || b.memory() == first);
  CHECK(Workspace::checkout(std::size_t{1} << 62).memory() == nullptr);
}

void every_block_runs_once() {
  for (int workers = 1; workers <= 7; ++workers) {
    for (const Index count : {0, 1, 2, 5, 64, 1001}) {
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(count));
      const bool finished = parallel::run(workers, {}, [&](Team& team) {
        team.share(count, [&](Index block) { ++runs[static_cast<std::size_t>(block)]; });
      });
      CHECK(finished);
      for (const auto& n : runs) CHECK(n == 1);
    }
  }
}

void barrier_separates_phases() {
  for (int workers = 1; workers <= 4; ++workers) {
    std::atomic<int> arrived{0};
    std::atomic<bool> early{false};
    parallel::run(workers, {}, [&](Team& team) {
      ++arrived;
      team.barrier();
      if (arrived != team.size()) early = true;
    });
    CHECK(!early);
  }
}

void interrupt_stops_between_blocks() {
  Interrupt interrupt;
  interrupt.requested = [](void*) { return true; };
  for (int workers = 1; workers <= 2; ++workers) {
    const bool finished = parallel::run(workers, interrupt, [&](Team& team) {
      while (!team.stopped()) {
      }
      team.share(10, [](Index) { CHECK(false); });
    });
    CHECK(!finished);
  }
}

template <class T>
void non_finite_numbers_are_found() {
  std::vector<T> x(10000, T(1));
  CHECK(first_non_finite(x.data(), 10000) == -1);
  x[9999] = std::numeric_limits<T>::max();
  CHECK(all_finite(x.data(), 10000));
  for (const T bad : {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity(),
                      -std::numeric_limits<T>::infinity()}) {
    x[8191] = bad;
    CHECK(first_non_finite(x.data(), 10000) == 8191);
    CHECK(!all_finite(x.data(), 10000));
  }
}

}  // namespace

int main() {
  arena_counts_what_it_takes();
  workers_arenas_lie_apart();
  workspaces_are_reused_and_separate();
  every_block_runs_once();
  barrier_separates_phases();
  interrupt_stops_between_blocks();
  non_finite_numbers_are_found<float>();
  non_finite_numbers_are_found<double>();
  return check::report();
}
