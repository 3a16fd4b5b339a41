// Random problems for the tests of engines: their shapes, operands and results.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "check.hpp"
#include "engines/engine.hpp"

namespace engine_case {

using namespace FOMAML_FAST_NAMESPACE;

enum class Rows { even, ragged, weighted, shared, outputs };  ///< outputs: each weighted

struct Case {
  std::vector<Index> sizes{3, 5, 4, 2};
  std::vector<ActivationId> activations{ActivationId::tanh};  // repeated as needed
  std::vector<Norm> norms{Norm::none};                        // the same
  LossId loss = LossId::mse;
  Index tasks = 11;
  Index support = 4, query = 6;
  Rows rows = Rows::even;
  int steps = 2;
  bool theta_per_task = false;
  bool stepped = false;  ///< every inner step has support rows of its own
};

/// Operands of a call, in double precision and as T.
template <class T>
struct Data {
  std::vector<T> theta, tangent, rates, step_weights, task_weights;
  std::vector<T> x[2], y[2], coefficients[2];
  std::vector<std::int32_t> labels[2];
  std::vector<Index> offsets[2];

  template <class U>
  static Data from(const Data<U>& other) {
    Data data;
    const auto convert = [](const std::vector<U>& v) { return std::vector<T>(v.begin(), v.end()); };
    data.theta = convert(other.theta);
    data.tangent = convert(other.tangent);
    data.rates = convert(other.rates);
    data.step_weights = convert(other.step_weights);
    data.task_weights = convert(other.task_weights);
    for (int i = 0; i < 2; ++i) {
      data.x[i] = convert(other.x[i]);
      data.y[i] = convert(other.y[i]);
      data.coefficients[i] = convert(other.coefficients[i]);
      data.labels[i] = other.labels[i];
      data.offsets[i] = other.offsets[i];
    }
    return data;
  }
};

inline Problem problem_of(const Case& c, Operation operation, Flow flow) {
  Problem problem;
  problem.operation = operation;
  problem.net.depth = static_cast<int>(c.sizes.size()) - 1;
  std::copy(c.sizes.begin(), c.sizes.end(), problem.net.sizes.begin());
  for (int l = 0; l + 1 < problem.net.depth; ++l) {
    const std::size_t i = static_cast<std::size_t>(l);
    problem.net.activations[i] = c.activations[i % c.activations.size()];
    problem.net.norms[i] = c.norms[i % c.norms.size()];
  }
  problem.net.loss = {c.loss, {0.5}};
  problem.support.loss = problem.query.loss = problem.net.loss;
  problem.layout = Layout(problem.net);
  problem.algorithm.steps = c.steps;
  problem.algorithm.flow = flow;
  problem.rate_rows = 2;
  problem.tasks = c.tasks;
  problem.theta_per_task = c.theta_per_task;
  problem.wants_task_gradients = true;
  return problem;
}

/// Operands with values that are exact in float, so that both precisions see the same problem.
inline Data<double> draw(const Case& c, Problem& problem) {
  std::mt19937 random(1234);
  std::normal_distribution<float> normal;
  const auto numbers = [&](Index count, double scale = 1) {
    std::vector<double> v(static_cast<std::size_t>(count));
    for (double& x : v) x = static_cast<float>(scale * double{normal(random)});
    return v;
  };
  const NetworkSpec& net = problem.net;
  Data<double> data;
  data.theta = numbers(problem.layout.n_params * (c.theta_per_task ? c.tasks : 1), 0.5);
  data.tangent = numbers(problem.layout.n_params * (c.theta_per_task ? c.tasks : 1));
  for (Index i = 0; i < std::max<Index>(problem.n_rates(), 2 * net.depth); ++i) {
    data.rates.push_back(static_cast<float>(0.05 + 0.03 * static_cast<double>(i % 7)));
  }
  for (int k = 0; k < c.steps; ++k) data.step_weights.push_back(1.0 / c.steps);
  for (Index task = 0; task < c.tasks; ++task)
    data.task_weights.push_back(0.5 * static_cast<double>(task % 4));
  for (int set = 0; set < 2; ++set) {
    const Index most = set == 0 ? c.support : c.query;
    RowShape& shape = set == 0 ? problem.support : problem.query;
    std::vector<Index>& offsets = data.offsets[set];
    offsets.push_back(0);
    shape.stepped = c.stepped && set == 0;
    const Index per_task = shape.stepped ? c.steps : 1;
    for (Index i = 0; i < (c.rows == Rows::shared ? 1 : c.tasks) * per_task; ++i) {
      const bool cut = c.rows != Rows::even && c.rows != Rows::shared;
      offsets.push_back(offsets.back() + (cut ? 1 + (i * 7 + set) % most : most));
      shape.longest = std::max(shape.longest, offsets.back() - offsets[offsets.size() - 2]);
    }
    shape.total = offsets.back();
    shape.ragged = c.rows != Rows::even && c.rows != Rows::shared;
    shape.per_output = c.rows == Rows::outputs;
    data.x[set] = numbers(shape.total * net.inputs());
    if (takes_labels(net.loss)) {
      for (Index row = 0; row < shape.total; ++row) {
        data.labels[set].push_back(static_cast<std::int32_t>(random() % net.outputs()));
      }
    } else {
      data.y[set] = numbers(shape.total * net.outputs());
    }
    if (c.rows == Rows::weighted || shape.per_output) {
      data.coefficients[set] = numbers(shape.total * (shape.per_output ? net.outputs() : 1), 0.3);
      for (std::size_t row = 0; row < data.coefficients[set].size(); row += 3) {
        data.coefficients[set][row] = 0;
      }
    }
  }
  return data;
}

template <class T>
struct Results {
  std::vector<T> outputs, losses, support_losses, task_vectors, grad, rate_grad, residuals;
  std::vector<std::int32_t> iterations;
  std::vector<std::uint8_t> diverged, indefinite;
  Status status = Status::unsupported;
};

/// `adjust` sets what the results do not have room for.
template <class T>
Results<T> compute(const Engine<T>& engine, const Problem& problem, const Data<T>& data,
                   bool shared, const Execution& execution,
                   const std::function<void(Call<T>&)>& adjust = nullptr) {
  CHECK(engine.unsupported(problem) == nullptr);
  const std::size_t tasks = static_cast<std::size_t>(problem.tasks);
  const std::size_t P = static_cast<std::size_t>(problem.layout.n_params);
  const Index rows = shared ? problem.tasks * problem.support.longest : problem.support.total;
  Results<T> results;
  results.outputs.resize(static_cast<std::size_t>(rows * problem.net.outputs()));
  results.losses.resize(tasks);
  results.support_losses.resize(tasks);
  results.task_vectors.resize(tasks * P);
  results.grad.resize(P);
  results.rate_grad.resize(static_cast<std::size_t>(problem.n_rates()));
  results.residuals.resize(tasks);
  results.iterations.resize(tasks);
  results.diverged.resize(tasks);
  results.indefinite.resize(tasks);

  Call<T> call;
  call.theta = data.theta.data();
  call.theta_stride = problem.theta_per_task ? problem.layout.n_params : 0;
  call.tangent = data.tangent.data();
  call.tangent_stride = call.theta_stride;
  for (int set = 0; set < 2; ++set) {
    RowSet<T>& s = set == 0 ? call.support : call.query;
    s.x = data.x[set].data();
    s.y = data.y[set].empty() ? nullptr : data.y[set].data();
    s.labels = data.labels[set].empty() ? nullptr : data.labels[set].data();
    s.per_output = (set == 0 ? problem.support : problem.query).per_output;
    s.coefficients = data.coefficients[set].empty() ? nullptr : data.coefficients[set].data();
    s.offsets = data.offsets[set].data();
    s.steps = set == 0 && problem.support.stepped ? problem.algorithm.steps : 1;
    s.shared = shared;
  }
  call.rates = data.rates.data();
  call.rate_steps = problem.algorithm.rates_per_parameter ? 1 : 2;
  if (problem.algorithm.multi_step) call.step_weights = data.step_weights.data();
  if (problem.weighs_tasks) call.task_weights = data.task_weights.data();
  if (problem.algorithm.learns_rates) call.rate_grad = results.rate_grad.data();
  if (problem.algorithm.flow == Flow::implicit) {
    call.solver = {results.residuals.data(), results.iterations.data(), results.indefinite.data()};
  }
  call.grad_scale = T(1) / static_cast<T>(problem.tasks);
  call.outputs = results.outputs.data();
  call.losses = results.losses.data();
  call.support_losses = problem.algorithm.steps > 0 ? results.support_losses.data() : nullptr;
  call.task_vectors = results.task_vectors.data();
  call.grad = results.grad.data();
  call.diverged = results.diverged.data();
  if (adjust) adjust(call);

  const std::size_t bytes = engine.workspace_bytes(problem, execution.workers);
  // Stale memory must not matter: fill it with NaN.
  constexpr std::size_t kGuard = Arena::kAlignment;
  std::vector<std::byte> memory(bytes + 2 * kGuard, std::byte{0xff});
  std::byte* aligned = memory.data();
  while (reinterpret_cast<std::uintptr_t>(aligned) % kGuard != 0) ++aligned;
  results.status = engine.run(problem, call, execution, aligned);
  CHECK(std::all_of(aligned + bytes, memory.data() + memory.size(),
                    [](std::byte b) { return b == std::byte{0xff}; }));
  return results;
}

template <class T>
Results<T> compute(const Engine<T>& engine, const Problem& problem, const Data<T>& data,
                   bool shared = false, int workers = 1) {
  Execution execution;
  execution.workers = workers;
  Results<T> results = compute(engine, problem, data, shared, execution);
  CHECK(results.status == Status::ok);
  return results;
}

/// Largest difference, as a fraction of the largest number expected.
template <class T>
double difference(const std::vector<T>& got, const std::vector<double>& expected) {
  if (got.size() != expected.size()) return 1e30;
  double most = 0, size = 1e-12;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(static_cast<double>(got[i]) - expected[i]);
    most = std::isnan(error) ? 1e30 : std::max(most, error);
    size = std::max(size, std::abs(expected[i]));
  }
  return most / size;
}

}  // namespace engine_case
