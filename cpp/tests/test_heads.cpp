// Heads in closed form through api::run, against central differences of the query loss.
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "api/engines.hpp"
#include "api/posterior.hpp"
#include "api/run.hpp"
#include "check.hpp"
#include "engine_case.hpp"
#include "engines/lanes/lanes.hpp"
#include "engines/reference/reference.hpp"

using namespace FOMAML_FAST_NAMESPACE;

namespace {

using Numbers = std::vector<double>;
constexpr double kStep = 1e-6;
constexpr Index kIn = 2, kHidden = 5, kOut = 2, kTasks = 3;

/// Ragged tasks on both sides of the number of features, 6.
struct World {
  NetworkSpec net;
  AlgorithmSpec algorithm;
  bool per_output = false;
  Numbers theta, numbers, x, y, coefficients, weights;
  std::vector<Index> offsets{0, 1, 10, 16};

  World(inner::Prior prior, bool predictive, bool targets_alone) : per_output(targets_alone) {
    net.depth = 2;
    net.sizes = {kIn, kHidden, kOut};
    net.activations = {ActivationSpec(ActivationId::tanh)};
    net.loss = {LossId::mse, {}};
    algorithm.head.prior = prior;
    algorithm.head.predictive = predictive;
    algorithm.learns_rates = true;
    std::mt19937 random(3);
    std::normal_distribution<double> normal;
    const auto draw = [&](Index count, double scale) {
      Numbers all;
      for (Index i = 0; i < count; ++i) all.push_back(scale * normal(random));
      return all;
    };
    theta = draw(Layout(net).n_params, 0.5);
    numbers = draw(algorithm.head.n_numbers(kHidden + 1, kOut), 0.2);
    x = draw(offsets.back() * kIn, 1);
    y = draw(offsets.back() * kOut, 1);
    const Index each = per_output ? kOut : 1;
    for (Index i = 0; i < offsets.back() * each; ++i) {
      weights.push_back(0.5 + 0.1 * static_cast<double>(i % 7));
      coefficients.push_back(weights.back() / 5);
    }
  }

  [[nodiscard]] RowSet<double> rows() const {
    return {.x = x.data(),
            .y = y.data(),
            .offsets = offsets.data(),
            .coefficients = coefficients.data(),
            .per_output = per_output,
            .weights = weights.data(),
            .weighs_outputs = per_output};
  }
};

struct Result {
  double loss = 0;
  Numbers grad, rate_grad;
};

Result compute(const World& world, Flow flow, const Numbers& theta, const Numbers& numbers,
               int workers = 1) {
  Problem problem;
  problem.operation = Operation::meta_gradient;
  problem.net = world.net;
  problem.layout = Layout(world.net);
  problem.algorithm = world.algorithm;
  problem.algorithm.flow = flow;
  problem.tasks = kTasks;
  problem.support = problem.query = {.longest = 9,
                                     .total = world.offsets.back(),
                                     .ragged = true,
                                     .per_output = world.per_output,
                                     .loss = world.net.loss};
  Result result{0, Numbers(theta.size()), Numbers(numbers.size())};
  Numbers losses(kTasks);
  std::vector<std::uint8_t> diverged(kTasks);
  Call<double> call;
  call.theta = theta.data();
  call.support = call.query = world.rows();
  call.rates = numbers.data();
  call.losses = losses.data();
  call.grad = result.grad.data();
  call.rate_grad = result.rate_grad.data();
  call.diverged = diverged.data();
  CHECK(api::run(problem, call, {workers, true, {}}) == Status::ok);
  for (const double loss : losses) result.loss += loss;
  return result;
}

bool close(double a, double b) { return std::abs(a - b) <= 1e-7 * (1 + std::abs(b)); }

void exact_gradients_match_differences(const World& world) {
  const Result found = compute(world, Flow::exact, world.theta, world.numbers);
  const auto slope = [&](bool of_theta, std::size_t i) {
    const auto at = [&](double step) {
      Numbers theta = world.theta, numbers = world.numbers;
      (of_theta ? theta : numbers)[i] += step;
      return compute(world, Flow::exact, theta, numbers).loss;
    };
    return (at(kStep) - at(-kStep)) / (2 * kStep);
  };
  for (std::size_t i = 0; i < found.grad.size(); ++i) CHECK(close(found.grad[i], slope(true, i)));
  for (std::size_t i = 0; i < found.rate_grad.size(); ++i) {
    CHECK(close(found.rate_grad[i], slope(false, i)));
  }
}

void any_number_of_threads_gives_the_same_bits(const World& world) {
  for (const Flow flow : {Flow::first, Flow::exact}) {
    const Result one = compute(world, flow, world.theta, world.numbers);
    for (const int workers : {2, 3}) {
      const Result many = compute(world, flow, world.theta, world.numbers, workers);
      const std::size_t bytes = one.grad.size() * sizeof(double);
      CHECK(std::memcmp(one.grad.data(), many.grad.data(), bytes) == 0);
    }
  }
}

/// What lies in a workspace before, and rows that leave room between them, change nothing.
void lanes_agree_with_the_reference(inner::Prior prior, bool predictive, engine_case::Rows rows) {
  engine_case::Case c;
  c.sizes = {3, 64, 64, 2};
  c.rows = rows;
  Problem problem = engine_case::problem_of(c, Operation::meta_gradient, Flow::exact);
  problem.algorithm.steps = 1;
  problem.algorithm.learns_rates = true;
  problem.algorithm.head.prior = prior;
  problem.algorithm.head.predictive = predictive;
  const auto data = engine_case::draw(c, problem);
  const auto expected = engine_case::compute(reference_engine<double>(), problem, data);
  const auto found = engine_case::compute(lanes_engine<double>(), problem, data);
  CHECK(engine_case::difference(found.grad, expected.grad) < 1e-9);
  CHECK(engine_case::difference(found.rate_grad, expected.rate_grad) < 1e-9);
  CHECK(engine_case::difference(found.task_vectors, expected.task_vectors) < 1e-9);
  const auto narrow = engine_case::Data<float>::from(data);
  const auto in_float = engine_case::compute(lanes_engine<float>(), problem, narrow);
  CHECK(engine_case::difference(in_float.grad, expected.grad) < 1e-4);
  CHECK(engine_case::difference(in_float.rate_grad, expected.rate_grad) < 1e-4);
}

/// Nothing overflows, and every deviation is above 0, with forgetting or without.
template <class T>
void rows_one_by_one(const World& world, double forget) {
  api::Algorithm algorithm;
  algorithm.spec = world.algorithm;
  api::Network net{.spec = world.net, .layout = Layout(world.net), .has_loss = true};
  const api::DType dtype = sizeof(T) == 8 ? api::DType::float64 : api::DType::float32;
  const api::Posterior posterior(algorithm, net, dtype, world.per_output);
  std::vector<std::byte> memory(posterior.bytes());
  const auto narrow = [](const Numbers& from) { return std::vector<T>(from.begin(), from.end()); };
  const std::vector<T> numbers = narrow(world.numbers), y = narrow(world.y),
                       weights = narrow(world.weights);
  const std::vector<T> head =
      narrow(Numbers(world.theta.end() - (kHidden + 1) * kOut, world.theta.end()));
  CHECK(posterior.begin(memory.data(), numbers.data(), head.data()));
  std::vector<T> features;
  for (Index i = 0; i < 16 * kHidden; ++i) {
    features.push_back(static_cast<T>(std::sin(static_cast<double>(i))));
  }
  const std::vector<Index> offsets{0, 16};
  api::Examples rows;
  rows.dtype = dtype;
  rows.tasks = 1;
  rows.offsets = offsets.data();
  rows.kind = api::Examples::Kind::numbers;
  rows.y = y.data();
  rows.target_columns = kOut;
  rows.weights = weights.data();
  rows.weighs_outputs = world.per_output;
  CHECK(posterior.update(memory.data(), rows, 0, 7, features.data(), forget));
  CHECK(posterior.update(memory.data(), rows, 7, 16, features.data(), forget));
  std::vector<T> means(16 * kOut), deviations(16 * kOut), room(2 * (kHidden + 1));
  CHECK(posterior.predict(memory.data(), features.data(), 16, means.data(), deviations.data(),
                          room.data()));
  for (const T deviation : deviations) CHECK(deviation > 0);
}

}  // namespace

int main() {
  for (const auto prior : {inner::Prior::scalar, inner::Prior::diagonal, inner::Prior::full}) {
    for (const bool predictive : {false, true}) {
      for (const auto rows : {engine_case::Rows::even, engine_case::Rows::ragged}) {
        lanes_agree_with_the_reference(prior, predictive, rows);
      }
      for (const bool per_output : {false, true}) {
        const World world(prior, predictive, per_output);
        for (const char* const engine : {"reference", "lanes"}) {
          for (int i = 0; i < api::engine_count(); ++i) {
            if (std::strcmp(api::engine_name(i), engine) == 0) api::force_engine(i);
          }
          exact_gradients_match_differences(world);
          any_number_of_threads_gives_the_same_bits(world);
        }
        for (const double forget : {1.0, 0.9}) {
          rows_one_by_one<double>(world, forget);
          rows_one_by_one<float>(world, forget);
        }
      }
    }
  }
  return check::report();
}
