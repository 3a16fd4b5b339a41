// Derivatives over the inputs, and jets with their products, against central differences.
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "api/engines.hpp"
#include "api/run.hpp"
#include "check.hpp"

using namespace FOMAML_FAST_NAMESPACE;

namespace {

using Numbers = std::vector<double>;
constexpr double kStep = 1e-5;
constexpr Index kIn = 3, kOut = 2, kTasks = 3;

/// Ragged tasks over a network whose layers straddle a register, and directions of the inputs.
struct World {
  NetworkSpec net;
  JetShape jet;
  Numbers theta, x, directions, v, cotangents, cotangent_tangents, input_tangents;
  std::vector<Index> offsets{0, 1, 21, 24};

  World(ActivationId activation, int order) : jet{2, order} {
    net.depth = 3;
    net.sizes = {kIn, 9, 4, kOut};
    net.activations = {ActivationSpec(activation), ActivationSpec(activation)};
    std::mt19937 random(7);
    std::normal_distribution<double> normal;
    const auto draw = [&](Index count, double scale) {
      Numbers all;
      for (Index i = 0; i < count; ++i) all.push_back(scale * normal(random));
      return all;
    };
    const Index n_params = Layout(net).n_params, outputs = rows() * kOut * jet.streams();
    theta = draw(n_params, 0.5);
    v = draw(n_params, 1);
    x = draw(rows() * kIn, 1);
    input_tangents = draw(rows() * kIn, 1);
    directions = draw(jet.directions * kIn, 1);
    cotangents = draw(outputs, 1);
    cotangent_tangents = draw(outputs, 1);
  }
  [[nodiscard]] Index rows() const { return offsets.back(); }
};

/// What an operation returns, for every row or every task.
Numbers compute(const World& world, Operation operation, const Numbers& theta, const Numbers& x,
                int workers = 1) {
  Problem problem;
  problem.operation = operation;
  problem.net = world.net;
  problem.layout = Layout(world.net);
  problem.tasks = kTasks;
  problem.jet = is_of_jets(operation) ? world.jet : JetShape{};
  problem.support = {.longest = 20, .total = world.rows(), .ragged = true};
  Numbers outputs(static_cast<std::size_t>(world.rows() * (kIn + kOut * world.jet.streams())));
  Numbers vectors(static_cast<std::size_t>(kTasks * problem.layout.n_params));
  Call<double> call;
  call.theta = theta.data();
  call.support = {.x = x.data(), .offsets = world.offsets.data()};
  call.tangent = world.v.data();
  call.directions = world.directions.data();
  call.cotangents = world.cotangents.data();
  call.cotangent_tangents = world.cotangent_tangents.data();
  call.input_tangents = world.input_tangents.data();
  call.outputs = outputs.data();
  call.task_vectors = vectors.data();
  CHECK(api::run(problem, call, {workers, true, {}}) == Status::ok);
  const bool sums = operation == Operation::jet_vjp || operation == Operation::jet_vjp_tangent;
  return sums ? vectors : outputs;
}

Numbers plus(const Numbers& from, double step, const Numbers& along) {
  Numbers to = from;
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += step * along[i % along.size()];
  return to;
}

double dot(const Numbers& a, const Numbers& b, Index count) {
  double sum = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) sum += a[i] * b[i];
  return sum;
}

bool close(double a, double b, double limit = 2e-6) {
  return std::abs(a - b) <= limit * (1 + std::abs(b));
}

void jets_match_differences(const World& world) {
  const Numbers jets = compute(world, Operation::jet, world.theta, world.x);
  const Index streams = world.jet.streams();
  for (Index d = 0; d < world.jet.directions; ++d) {
    const Numbers along(world.directions.begin() + d * kIn,
                        world.directions.begin() + (d + 1) * kIn);
    const auto at = [&](double step) {
      return compute(world, Operation::jet, world.theta, plus(world.x, step, along));
    };
    const Numbers up = at(kStep), down = at(-kStep);
    for (Index row = 0; row < world.rows(); ++row) {
      for (Index j = 0; j < kOut; ++j) {
        const auto place = [&](Index stream) {
          return static_cast<std::size_t>((row * streams + stream) * kOut + j);
        };
        const auto slope = [&](Index stream) {
          return (up[place(stream)] - down[place(stream)]) / (2 * kStep);
        };
        const Index one = world.jet.first(d);
        CHECK(close(jets[place(one)], slope(0)));
        if (world.jet.order == 2) CHECK(close(jets[place(world.jet.second(d))], slope(one)));
      }
    }
  }
}

void products_match_differences(const World& world) {
  const auto jets = [&](double step) {
    return compute(world, Operation::jet, plus(world.theta, step, world.v), world.x);
  };
  const Index count = world.rows() * kOut * world.jet.streams();
  const Numbers pushed = compute(world, Operation::jet_jvp, world.theta, world.x);
  const Numbers up = jets(kStep), down = jets(-kStep);
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    CHECK(close(pushed[i], (up[i] - down[i]) / (2 * kStep)));
  }
  const Index n_params = Layout(world.net).n_params;
  const auto pulled = [&](double step) {
    World there = world;
    there.cotangents = plus(world.cotangents, step, world.cotangent_tangents);
    return compute(there, Operation::jet_vjp, plus(world.theta, step, world.v), world.x);
  };
  const Numbers back = pulled(0), higher = pulled(kStep), lower = pulled(-kStep);
  double adjoint = 0;
  for (Index t = 0; t < kTasks; ++t) {
    const Numbers of_task(back.begin() + t * n_params, back.begin() + (t + 1) * n_params);
    adjoint += dot(of_task, world.v, n_params);
  }
  CHECK(close(adjoint, dot(pushed, world.cotangents, count), 1e-10));
  const Numbers turned = compute(world, Operation::jet_vjp_tangent, world.theta, world.x);
  for (std::size_t i = 0; i < turned.size(); ++i) {
    CHECK(close(turned[i], (higher[i] - lower[i]) / (2 * kStep)));
  }
}

void products_over_inputs_match_differences(const World& world) {
  const auto outputs = [&](double step) {
    return compute(world, Operation::predict, world.theta,
                   plus(world.x, step, world.input_tangents));
  };
  const Index count = world.rows() * kOut;
  const Numbers pushed = compute(world, Operation::input_jvp, world.theta, world.x);
  const Numbers up = outputs(kStep), down = outputs(-kStep);
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    CHECK(close(pushed[i], (up[i] - down[i]) / (2 * kStep)));
  }
  const Numbers pulled = compute(world, Operation::input_vjp, world.theta, world.x);
  CHECK(close(dot(pulled, world.input_tangents, world.rows() * kIn),
              dot(pushed, world.cotangents, count), 1e-10));
}

void any_number_of_threads_gives_the_same_bits(const World& world) {
  for (const Operation operation : {Operation::jet, Operation::jet_vjp, Operation::jet_jvp,
                                    Operation::jet_vjp_tangent, Operation::input_vjp}) {
    const Numbers one = compute(world, operation, world.theta, world.x);
    for (const int workers : {2, 3}) {
      const Numbers many = compute(world, operation, world.theta, world.x, workers);
      CHECK(std::memcmp(one.data(), many.data(), one.size() * sizeof(double)) == 0);
    }
  }
}

}  // namespace

int main() {
  for (const ActivationId activation : {
#define FOMAML_FAST_ACTIVATION(identifier, Struct) ActivationId::identifier,
#include "activations/registry.def"
#undef FOMAML_FAST_ACTIVATION
       }) {
    for (const int order : {1, 2}) {
      const World world(activation, order);
      jets_match_differences(world);
      products_match_differences(world);
      products_over_inputs_match_differences(world);
      any_number_of_threads_gives_the_same_bits(world);
    }
  }
  return check::report();
}
