// base/: arenas count what they take, workspaces are reused, every block runs once for any
// team, and no team waits for a worker that has nothing.
#include <array>
#include <atomic>
#include <limits>
#include <string_view>
#include <thread>
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

/// Every share sees all that the one before has written, whoever did which block.
void shares_follow_each_other() {
  constexpr Index kBlocks = 50, kShares = 200;
  for (const int workers : {1, 2, 3, 7, 40}) {
    std::array<std::atomic<Index>, kBlocks> written{};  // relaxed: the shares must order it
    std::atomic<bool> early{false};
    parallel::run(workers, {}, [&](Team& team) {
      for (Index share = 0; share < kShares; ++share) {
        team.share(kBlocks, [&](Index block) {
          for (const auto& other : written) {
            const Index seen = other.load(std::memory_order_relaxed);
            if (seen != share && seen != share + 1) early = true;
          }
          written[static_cast<std::size_t>(block)].store(share + 1, std::memory_order_relaxed);
        });
        if (share % 3 == 0) continue;
        team.barrier();
        for (const auto& each : written) {
          if (each.load(std::memory_order_relaxed) < share + 1) early = true;
        }
      }
    });
    CHECK(!early);
    for (const auto& each : written) CHECK(each == kShares);
  }
}

/// A worker that the system has put aside holds nobody up: here it waits for all the others' work.
void work_goes_on_without_a_late_worker() {
  if (std::string_view(parallel::backend()) == "none") return;
  for (const int workers : {2, 3, 40}) {
    std::atomic<bool> done{false};
    std::atomic<int> blocks{0}, of_the_late{0};
    parallel::run(workers, {}, [&](Team& team) {
      const bool late = team.size() > 1 && team.worker() == team.size() - 1;
      while (late && !done) std::this_thread::yield();
      for (int share = 0; share < 5; ++share) {
        team.share(100, [&](Index) {
          ++blocks;
          if (late) ++of_the_late;
        });
        team.barrier();
      }
      done = true;
    });
    CHECK(blocks == 500);
    CHECK(of_the_late == 0);
  }
}

/// Many small blocks are taken several at a time, and none twice.
void a_million_blocks_run_once() {
  std::atomic<Index> runs{0}, sum{0};
  const Index count = 1'000'000;
  parallel::run(3, {}, [&](Team& team) {
    Index own_runs = 0, own_sum = 0;
    team.share(count, [&](Index block) {
      ++own_runs;
      own_sum += block;
    });
    runs += own_runs;
    sum += own_sum;
  });
  CHECK(runs == count && sum == count * (count - 1) / 2);
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
  shares_follow_each_other();
  work_goes_on_without_a_late_worker();
  a_million_blocks_run_once();
  interrupt_stops_between_blocks();
  non_finite_numbers_are_found<float>();
  non_finite_numbers_are_found<double>();
  return check::report();
}
