// When calls do without threads, and when those return: a machine and a clock that are made up.
#include "api/crowd.hpp"

#include "check.hpp"

using namespace FOMAML_FAST_NAMESPACE;
using namespace std::chrono_literals;
using api::Crowd;
using Wish = Crowd::Wish;

namespace {

/// A thread that calls the library on a machine of so many processors.
struct Machine {
  explicit Machine(int count) : processors(count), crowd(count) {}

  int processors;
  Crowd crowd;
  std::chrono::steady_clock::time_point now{1h};
  std::chrono::nanoseconds idle_so_far{0};
  double others = 0;         ///< processors that others use
  bool tells_delays = true;  ///< whether the system says how long threads wait
  bool tells_idle = true;

  /// One call of `took` after a pause; returns its threads. All that want a processor get equal
  /// parts of it.
  int call(std::chrono::nanoseconds took, std::chrono::nanoseconds pause = 10us) {
    const int workers = crowd.limit(processors);
    pass(pause, 1);
    const Wish wish = crowd.before(now, workers > 1);
    if (wish == Wish::idle) crowd.idle(now, tells_idle ? idle_so_far : -1ns);
    pass(took, workers);
    if (workers == 1) return workers;
    const double lacking = std::max(0.0, workers + others - processors);
    const auto waiting = std::chrono::duration_cast<std::chrono::nanoseconds>(
        took * (lacking * workers / (workers + others)));
    parallel::Delays delays;
    delays.known = tells_delays;
    (tells_delays ? delays.waiting : delays.overdue) = waiting;
    const bool noted = wish == Wish::delays || wish == Wish::fresh_delays;
    // What was not noted since is told at the next occasion, unless that starts afresh.
    pending = (wish == Wish::fresh_delays ? 0ns : pending) + waiting;
    if (noted) (tells_delays ? delays.waiting : delays.overdue) = pending;
    if (noted) pending = 0ns;
    crowd.ran(now, noted ? &delays : nullptr);
    return workers;
  }

  /// Threads of the last of the calls that fill `time`.
  int calls_for(std::chrono::nanoseconds time, std::chrono::nanoseconds took) {
    int workers = 0;
    for (const auto end = now + time; now < end;) workers = call(took);
    return workers;
  }

 private:
  void pass(std::chrono::nanoseconds time, int own) {
    now += time;
    idle_so_far += std::chrono::duration_cast<std::chrono::nanoseconds>(
        time * std::max(0.0, processors - own - others));
  }
  std::chrono::nanoseconds pending{0};
};

void a_quiet_machine_gives_all() {
  for (const auto took : {30us, 3000us, 30000us}) {
    Machine machine(2);
    for (int call = 0; call < 1000; ++call) CHECK(machine.call(took) == 2);
    for (int call = 0; call < 100; ++call) CHECK(machine.call(took, 50ms) == 2);
  }
}

void a_neighbour_takes_one_until_it_goes() {
  for (const auto took : {30us, 3000us, 30000us}) {
    for (const bool tells_delays : {true, false}) {
      Machine machine(2);
      machine.tells_delays = tells_delays;
      machine.calls_for(1s, took);
      machine.others = 1;
      machine.calls_for(90ms, took);  // a few calls, of those that are long
      for (int call = 0; call < 1000; ++call) CHECK(machine.call(took) == 1);
      machine.others = 0;
      CHECK(machine.calls_for(400ms, took) == 2);
      CHECK(machine.crowd.taken() == 0);
    }
  }
}

/// The rest of many processors goes on.
void others_take_what_they_use() {
  Machine machine(16);
  machine.others = 3;
  machine.calls_for(3s, 1ms);
  CHECK(machine.crowd.taken() >= 2 && machine.crowd.taken() <= 4);
  machine.others = 40;
  machine.calls_for(3s, 1ms);
  CHECK(machine.crowd.taken() == 15);
  machine.others = 8;
  machine.calls_for(3s, 1ms);
  CHECK(machine.crowd.taken() >= 7 && machine.crowd.taken() <= 9);
  machine.others = 0;
  machine.calls_for(3s, 1ms);
  CHECK(machine.crowd.taken() == 0);
}

/// Where nobody tells of idle processors, trying costs: it is done ever more seldom.
void trying_gets_seldom() {
  Machine machine(2);
  machine.tells_idle = false;
  machine.others = 1;
  const auto tries_in = [&](std::chrono::nanoseconds time) {
    int tries = 0, before = 1;
    for (const auto end = machine.now + time; machine.now < end;) {
      const int workers = machine.call(100us);
      if (workers == 2 && before == 1) ++tries;
      before = workers;
    }
    return tries;
  };
  CHECK(tries_in(2s) >= 4);
  tries_in(10s);
  const int later = tries_in(32s);
  CHECK(later >= 8 && later <= 11);
  machine.others = 0;
  machine.calls_for(4s, 100us);
  CHECK(machine.crowd.taken() == 0);
  machine.calls_for(60s, 1ms);
  machine.others = 1;  // long quiet, then another neighbour: the patience is back
  machine.calls_for(50ms, 100us);
  machine.others = 0;
  CHECK(machine.calls_for(300ms, 100us) == 2);
}

/// One thread that was put aside once is no crowd.
void one_delay_is_none() {
  Machine machine(2);
  machine.calls_for(1s, 1ms);
  machine.others = 1;
  machine.call(5ms);
  machine.others = 0;
  for (int call = 0; call < 100; ++call) CHECK(machine.call(1ms) == 2);
}

/// More threads than processors, because the user said so, are as many on a quiet machine.
void a_request_beyond_the_processors_stands() {
  Crowd crowd(2);
  CHECK(crowd.limit(8) == 8 && crowd.limit(1) == 1);
}

}  // namespace

int main() {
  a_quiet_machine_gives_all();
  a_neighbour_takes_one_until_it_goes();
  others_take_what_they_use();
  trying_gets_seldom();
  one_delay_is_none();
  a_request_beyond_the_processors_stands();
  return check::report();
}
