// Many learners in one call: the bits of their own calls, for any number of threads.
#include "api/learners.hpp"

#include <cstring>

#include "api/run.hpp"
#include "engine_case.hpp"

using namespace engine_case;

namespace {

constexpr Index kLearners = 5;

/// Learners with the same rows, and parameters of their own.
struct World {
  Problem problem;
  Data<double> data;
  std::vector<std::vector<double>> thetas;

  explicit World(Index tasks) {
    Case c;
    c.tasks = tasks;
    problem = problem_of(c, Operation::meta_gradient, Flow::exact);
    problem.wants_task_gradients = false;
    data = draw(c, problem);
    for (Index learner = 0; learner < kLearners; ++learner) {
      thetas.push_back(data.theta);
      for (double& number : thetas.back()) number *= 1 + 0.1 * static_cast<double>(learner);
    }
  }

  /// What a learner computes.
  Status part(Index learner, const Execution& execution, std::vector<double>& grad) const {
    const std::size_t tasks = static_cast<std::size_t>(problem.tasks);
    std::vector<double> losses(tasks), before(tasks);
    std::vector<std::uint8_t> diverged(tasks);
    Call<double> call;
    call.theta = thetas[static_cast<std::size_t>(learner)].data();
    for (int set = 0; set < 2; ++set) {
      RowSet<double>& rows = set == 0 ? call.support : call.query;
      rows.x = data.x[set].data();
      rows.y = data.y[set].data();
      rows.offsets = data.offsets[set].data();
    }
    call.rates = data.rates.data();
    call.rate_steps = 2;
    call.losses = losses.data();
    call.support_losses = before.data();
    grad.resize(data.theta.size());
    call.grad = grad.data();
    call.diverged = diverged.data();
    return api::run(problem, call, execution);
  }
};

void learners_have_the_bits_of_their_own_calls(Index tasks) {
  const World world(tasks);
  std::vector<std::vector<double>> own(kLearners), together(kLearners);
  for (Index r = 0; r < kLearners; ++r) {
    CHECK(world.part(r, {1, true, {}}, own[static_cast<std::size_t>(r)]) == Status::ok);
  }
  for (const int workers : {1, 2, 3, 7}) {
    Status ended[kLearners];
    const Status status =
        api::run_learners(kLearners, world.problem, {workers, true, {}}, ended,
                          [&](Index r, const Execution& execution) {
                            return world.part(r, execution, together[static_cast<std::size_t>(r)]);
                          });
    CHECK(status == Status::ok);
    for (std::size_t r = 0; r < kLearners; ++r) {
      CHECK(ended[r] == Status::ok);
      const std::size_t bytes = own[r].size() * sizeof(double);
      CHECK(std::memcmp(own[r].data(), together[r].data(), bytes) == 0);
    }
  }
}

/// One that diverged does not end the others; one that cannot run ends the call.
void how_learners_end() {
  const World world(3);
  for (const int workers : {1, 3}) {
    for (const Status worst : {Status::diverged, Status::out_of_memory}) {
      Status ended[kLearners];
      const Status status =
          api::run_learners(kLearners, world.problem, {workers, true, {}}, ended,
                            [&](Index r, const Execution&) { return r == 2 ? worst : Status::ok; });
      CHECK(status == (worst == Status::diverged ? Status::ok : worst));
      CHECK(ended[2] == worst);
      CHECK(ended[0] == Status::ok);
    }
  }
}

}  // namespace

int main() {
  for (const Index tasks : {1, 3, 40}) learners_have_the_bits_of_their_own_calls(tasks);
  how_learners_end();
  return check::report();
}
