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

/// The caller's number is the caller's.
void a_number_that_was_given_stands() {
  Execution execution;
  execution.workers = 3;
  execution.exact = true;
  CHECK(api::present_workers(3, execution) == 3);
  for (int call = 0; call < 20; ++call) {
    const api::Attendance attendance(3, execution);
    std::this_thread::sleep_for(1ms);
  }
  CHECK(api::present_workers(3, execution) == 3);
}

/// When the crowd is gone, nothing is allocated.
void a_workspace_is_for_all_that_may_come() {
  const Problem problem = some_work();
  Execution given;
  given.workers = 2;
  given.exact = true;
  Execution free = given;
  free.exact = false;
  CHECK(api::plan<float>(problem, given).workers == 2);
  CHECK(api::plan<float>(problem, given).workspace_bytes ==
        api::plan<float>(problem, free).workspace_bytes);
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
  a_number_that_was_given_stands();
  a_workspace_is_for_all_that_may_come();
  return check::report();
}
