// How many threads a call gets, and what earlier calls have to do with it.
#include "api/workers.hpp"

#include <chrono>
#include <string_view>

#include "api/plan.hpp"
#include "base/processors.hpp"
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

/// A number that the caller gave is used even where it does not pay.
void a_number_that_was_given_is_used() {
  Problem problem = some_work();
  problem.support.total = 1;
  Execution execution;
  execution.workers = 2;
  CHECK(api::worthwhile_workers(problem, execution, true) == 1);
  execution.exact = true;
  CHECK(api::worthwhile_workers(problem, execution, true) == 2);
}

/// What runs on one thread while others hold processors gets the workspace of all: when they are
/// gone, nothing is allocated.
void a_workspace_is_for_all_that_may_come() {
  const Problem problem = some_work();
  Execution execution;
  execution.workers = 2;
  execution.exact = true;
  const auto bytes = [&] { return api::plan<float>(problem, execution).workspace_bytes; };
  const std::size_t before = bytes();
  // Runs of which every thread waits for a processor: 40 of them on one.
  for (int run = 0; run < 10 && api::plan<float>(problem, execution).workers == 2; ++run) {
    const api::Attendance attendance(2);
    parallel::run(40, {}, [](Team&) {
      const auto end = std::chrono::steady_clock::now() + 100ms;
      while (std::chrono::steady_clock::now() < end) {
      }
    });
  }
  if (waited_for_processor().count() >= 0 && allowed_processors() < 20 &&
      allowed_processors() > 1 && std::string_view(parallel::backend()) != "none") {
    CHECK(api::plan<float>(problem, execution).workers == 1);
    CHECK(api::present_workers(2) == 1 && api::present_workers(1) == 1);
  }
  CHECK(bytes() == before);
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
  problem.query.total = 100'000;  // evaluated at the points of a trace, where there is one
  CHECK(api::is_brief(problem));
  problem.wants_trace = true;
  problem.trace_points = 6;
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
  a_number_that_was_given_is_used();
  a_workspace_is_for_all_that_may_come();
  return check::report();
}
