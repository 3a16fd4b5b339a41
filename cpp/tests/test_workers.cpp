// How many threads a call gets, and what earlier calls have to do with it.
#include "api/workers.hpp"

#include <thread>

#include "api/plan.hpp"
#include "check.hpp"

using namespace FOMAML_FAST_NAMESPACE;
using namespace std::chrono_literals;

namespace {

/// Predictions worth about a millisecond of one thread.
Problem some_work() {
  Problem problem;
  problem.net.depth = 1;
  problem.net.sizes = {100, 100};
  problem.layout = Layout(problem.net);
  problem.tasks = 10;
  problem.support.total = 1000;
  return problem;
}

/// How long runs go alone after one that took `elapsed`.
std::chrono::nanoseconds pause_after(std::chrono::nanoseconds elapsed) {
  const auto start = std::chrono::steady_clock::now();
  api::learn_from(some_work(), 2, elapsed);
  while (api::crowded()) std::this_thread::sleep_for(1ms);
  return std::chrono::steady_clock::now() - start;
}

/// Bounds from below, and from above by what would have been far longer: sleep takes its time.
void pauses_grow_while_runs_are_held_up() {
  for (const auto least : {20ms, 40ms, 80ms, 160ms, 200ms, 200ms})
    CHECK(pause_after(10ms) >= least);

  for (int run = 0; run < 100; ++run) api::learn_from(some_work(), 2, 100us);
  api::learn_from(some_work(), 2, 1s);  // 2 s, not 20: the patience is back
  std::this_thread::sleep_for(2500ms);
  CHECK(!api::crowded());

  api::learn_from(some_work(), 2, 1s);
  CHECK(api::crowded());
  api::learn_from(some_work(), 1, 2s);  // the work takes that long: nobody was held up
  CHECK(!api::crowded());
  api::learn_from(some_work(), 2, 10us);  // or only that once: the usual pace again
}

void held_up_runs_send_the_next_ones_alone() {
  const Problem problem = some_work();
  Execution execution;
  execution.workers = 2;
  execution.exact = true;
  const auto workers = [&] { return api::plan<float>(problem, execution).workers; };
  CHECK(workers() == 2);
  const std::size_t workspace = api::plan<float>(problem, execution).workspace_bytes;

  api::learn_from(problem, 2, 1s);  // far too long: the next ones go alone
  CHECK(api::crowded() && workers() == 1);
  // When the crowd is gone, nothing is allocated.
  CHECK(api::plan<float>(problem, execution).workspace_bytes == workspace);
  api::learn_from(problem, 1, 10ms);  // and are much faster
  CHECK(api::crowded() && workers() == 1);

  api::learn_from(problem, 1, 1800ms);  // or are not: the work takes that long
  CHECK(!api::crowded() && workers() == 2);
  api::learn_from(problem, 2, 1s);  // which is known from now on
  CHECK(workers() == 2);
  api::learn_from(problem, 2, 20s);
  CHECK(workers() == 1);
}

/// A single task has only its products to share out, if they are large.
void one_task_gets_threads_where_it_is_wide() {
  Problem problem;
  problem.operation = Operation::meta_gradient;
  problem.net.depth = 2;
  problem.tasks = 1;
  problem.algorithm.steps = 1000;
  Execution execution;
  execution.workers = 3;
  parallel::run(2, {}, [](Team&) {});  // awake
  const auto workers = [&](Index width, Index rows) {
    problem.net.sizes = {8, width, width};
    problem.layout = Layout(problem.net);
    problem.support.total = problem.support.longest = rows;
    problem.query.total = problem.query.longest = rows;
    return api::worthwhile_workers(problem, execution, true);
  };
  CHECK(workers(400, 40) == 3);
  CHECK(workers(400, 20) == 1);  // numbers that others have written would be used too seldom
  CHECK(workers(100, 40) == 1);
  workers(400, 40);
  CHECK(api::worthwhile_workers(problem, execution, false) == 1);
}

/// What takes long stays open to interruption, wherever its work is hidden.
void only_short_calls_are_brief() {
  Problem problem = some_work();
  CHECK(!api::is_brief(problem));
  problem.support.total = 10;
  CHECK(api::is_brief(problem));

  problem.operation = Operation::adapt;
  problem.algorithm.steps = 5;
  CHECK(api::is_brief(problem));
  problem.query.total = 100'000;  // looked at after every step, where there is a trace
  CHECK(api::is_brief(problem));
  problem.wants_trace = true;
  CHECK(!api::is_brief(problem));

  problem = some_work();
  problem.support.total = problem.query.total = 10;
  problem.operation = Operation::meta_gradient;
  CHECK(api::is_brief(problem));
  problem.algorithm.flow = Flow::implicit;
  CHECK(!api::is_brief(problem));
}

void workers_are_bounded() {
  const Problem problem = some_work();
  Execution execution;
  execution.workers = 1 << 30;
  execution.exact = true;
  CHECK(api::worthwhile_workers(problem, execution, true) <= 1024);
  execution.exact = false;
  CHECK(api::worthwhile_workers(problem, execution, true) <= 10);
}

}  // namespace

int main() {
  workers_are_bounded();
  one_task_gets_threads_where_it_is_wide();
  only_short_calls_are_brief();
  pauses_grow_while_runs_are_held_up();
  held_up_runs_send_the_next_ones_alone();
  return check::report();
}
