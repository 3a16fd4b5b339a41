// The whole core through api::run with the reference engine, against central differences.
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "api/engines.hpp"
#include "api/run.hpp"
#include "check.hpp"

using namespace FOMAML_FAST_NAMESPACE;

namespace {

constexpr double kStep = 1e-6;

/// Ragged tasks with row coefficients over a small network.
struct World {
  NetworkSpec net;
  std::vector<double> theta, x, y, coefficients;
  std::vector<std::int32_t> labels;
  std::vector<Index> offsets{0};
  Index tasks = 5;

  World(ActivationId activation, LossId loss) {
    net.depth = 3;
    net.sizes = {3, 5, 4, 2};
    net.activations = {activation, activation};
    net.loss = {loss, {0.5}};
    std::mt19937 random(7);
    std::normal_distribution<double> normal;
    for (Index i = 0; i < Layout(net).n_params; ++i) theta.push_back(0.4 * normal(random));
    for (Index t = 0; t < tasks; ++t) offsets.push_back(offsets.back() + 1 + t % 3);
    for (Index r = 0; r < offsets.back(); ++r) {
      for (int j = 0; j < 3; ++j) x.push_back(normal(random));
      for (int j = 0; j < 2; ++j) y.push_back(normal(random));
      labels.push_back(static_cast<std::int32_t>(r % 2));
      coefficients.push_back(0.3 + 0.1 * static_cast<double>(r));
    }
    coefficients[4] = 0;
  }

  [[nodiscard]] RowSet<double> rows() const {
    return {.x = x.data(),
            .y = y.data(),
            .labels = labels.data(),
            .offsets = offsets.data(),
            .coefficients = coefficients.data()};
  }
  [[nodiscard]] Problem problem(Operation operation, Flow flow, int steps) const {
    Problem p;
    p.operation = operation;
    p.net = net;
    p.layout = Layout(net);
    p.algorithm.flow = flow;
    p.algorithm.steps = steps;
    p.tasks = tasks;
    p.support = p.query = {.longest = 3, .total = offsets.back(), .ragged = true, .loss = net.loss};
    return p;
  }
};

struct Result {
  std::vector<double> grad, losses, vectors;
};

Result compute(const World& world, Operation operation, Flow flow, int steps,
               const std::vector<double>& theta, const std::vector<double>& tangent, int workers) {
  const Problem problem = world.problem(operation, flow, steps);
  const auto count = static_cast<std::size_t>(problem.layout.n_params);
  const auto tasks = static_cast<std::size_t>(world.tasks);
  Result result{std::vector<double>(count), std::vector<double>(tasks),
                std::vector<double>(count * tasks)};
  const std::vector<double> rates(static_cast<std::size_t>(world.net.depth), 0.1);
  std::vector<std::uint8_t> diverged(tasks);
  Call<double> call;
  call.theta = theta.data();
  call.support = call.query = world.rows();
  call.tangent = tangent.data();
  call.rates = rates.data();
  call.grad = result.grad.data();
  call.losses = result.losses.data();
  call.task_vectors = result.vectors.data();
  call.diverged = diverged.data();
  CHECK(api::run(problem, call, {workers, true, {}}) == Status::ok);
  return result;
}

std::vector<double> moved(const World& world, const std::vector<double>& direction, double step) {
  std::vector<double> theta = world.theta;
  for (std::size_t i = 0; i < theta.size(); ++i) theta[i] += step * direction[i];
  return theta;
}

double total(const std::vector<double>& x) {
  double sum = 0;
  for (const double value : x) sum += value;
  return sum;
}

void exact_meta_gradient_matches_differences(const World& world) {
  std::vector<double> direction;
  for (std::size_t i = 0; i < world.theta.size(); ++i) {
    direction.push_back(std::cos(static_cast<double>(i)));
  }
  for (const int steps : {0, 1, 3}) {
    const auto loss = [&](double step) {
      return total(compute(world, Operation::meta_gradient, Flow::exact, steps,
                           moved(world, direction, step), {}, 1)
                       .losses);
    };
    const Result result =
        compute(world, Operation::meta_gradient, Flow::exact, steps, world.theta, {}, 1);
    double slope = 0;
    for (std::size_t i = 0; i < direction.size(); ++i) slope += result.grad[i] * direction[i];
    const double difference = (loss(kStep) - loss(-kStep)) / (2 * kStep);
    CHECK(std::abs(slope - difference) <= 1e-7 * (1 + std::abs(slope)));
  }
}

void hessian_vector_matches_differences(const World& world) {
  std::vector<double> v;
  for (std::size_t i = 0; i < world.theta.size(); ++i)
    v.push_back(std::sin(3.0 * static_cast<double>(i)));
  const auto gradients = [&](double step) {
    return compute(world, Operation::gradient, Flow::first, 0, moved(world, v, step), {}, 1)
        .vectors;
  };
  const auto product = compute(world, Operation::hvp, Flow::first, 0, world.theta, v, 1).vectors;
  const auto up = gradients(kStep), down = gradients(-kStep);
  for (std::size_t i = 0; i < product.size(); ++i) {
    const double difference = (up[i] - down[i]) / (2 * kStep);
    CHECK(std::abs(product[i] - difference) <= 1e-7 * (1 + std::abs(product[i])));
  }
}

void any_number_of_threads_gives_the_same_bits(const World& world) {
  for (const Flow flow : {Flow::first, Flow::exact}) {
    const Result one = compute(world, Operation::meta_gradient, flow, 2, world.theta, {}, 1);
    for (const int workers : {2, 3, 4, 7}) {
      const Result many =
          compute(world, Operation::meta_gradient, flow, 2, world.theta, {}, workers);
      CHECK(std::memcmp(one.grad.data(), many.grad.data(), one.grad.size() * sizeof(double)) == 0);
    }
  }
}

}  // namespace

int main() {
  api::force_engine(0);
  CHECK(std::strcmp(api::engine_name(0), "reference") == 0);
  for (const ActivationId activation : {
#define FOMAML_FAST_ACTIVATION(identifier, Struct) ActivationId::identifier,
#include "activations/registry.def"
#undef FOMAML_FAST_ACTIVATION
       }) {
    for (const LossId loss : {
#define FOMAML_FAST_LOSS(identifier, Struct) LossId::identifier,
#include "losses/registry.def"
#undef FOMAML_FAST_LOSS
         }) {
      const World world(activation, loss);
      exact_meta_gradient_matches_differences(world);
      hessian_vector_matches_differences(world);
      any_number_of_threads_gives_the_same_bits(world);
    }
  }
  return check::report();
}
