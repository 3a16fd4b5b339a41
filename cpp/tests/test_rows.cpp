// The Rows engine against the reference engine: every operation, activation, loss, flow and layout
// of rows, on sizes around the edges of vectors, panels and tiles.
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "check.hpp"
#include "engines/reference/reference.hpp"
#include "engines/rows/rows.hpp"

using namespace FOMAML_FAST_NAMESPACE;

namespace {

struct Case {
  std::vector<Index> sizes;
  ActivationId activation = ActivationId::tanh;
  LossId loss = LossId::mse;
  Flow flow = Flow::first;
  Norm norm = Norm::none;
  Index tasks = 3, support = 5, query = 4;
  int steps = 2;
  bool ragged = false, weighted = false, shared = false, theta_per_task = false,
       tangent_per_task = true, task_gradients = false, one_rate = false;
};

template <class T>
struct Set {
  std::vector<T> x, y, c;
  std::vector<std::int32_t> labels;
  std::vector<Index> offsets;
  RowShape shape;
  RowSet<T> view(const Case& k) const {
    RowSet<T> set;
    set.x = x.data();
    if (k.loss == LossId::cross_entropy) {
      set.labels = labels.data();
    } else {
      set.y = y.data();
    }
    set.offsets = offsets.data();
    set.coefficients = k.weighted ? c.data() : nullptr;
    set.shared = k.shared;
    return set;
  }
};

/// Random operands of a case and room for its results.
template <class T>
class Fixture {
 public:
  Fixture(const Case& k, Operation operation) : case_(k) {
    problem.operation = operation;
    problem.net.depth = static_cast<int>(k.sizes.size()) - 1;
    std::copy(k.sizes.begin(), k.sizes.end(), problem.net.sizes.begin());
    problem.net.activations.fill(k.activation);
    for (int l = 0; l + 1 < problem.net.depth; ++l) problem.net.norms[NetworkSpec::at(l)] = k.norm;
    problem.net.loss = {k.loss, {}};
    problem.layout = Layout(problem.net);
    problem.algorithm.flow = k.flow;
    problem.algorithm.steps = k.steps;
    problem.tasks = k.tasks;
    problem.theta_per_task = k.theta_per_task;
    problem.wants_task_gradients = k.task_gradients;
    support_ = make_set(k.support);
    query_ = make_set(k.query);
    problem.support = support_.shape;
    problem.query = query_.shape;
    problem.support.loss = problem.query.loss = problem.net.loss;
    for (Index t = 0; t < k.tasks; ++t) {
      for (int l = 0; l < problem.net.depth; ++l) {
        const T scale = T(1) / std::sqrt(static_cast<T>(problem.net.fan_in(l)));
        for (Index i = 0; i < problem.net.fan_in(l) * problem.net.fan_out(l); ++i) {
          theta_.push_back(scale * normal());
        }
        for (Index i = 0; i < problem.net.fan_out(l); ++i) theta_.push_back(T(0.1) * normal());
        for (Index i = 0; problem.net.normalized(l) && i < 2 * problem.net.fan_out(l); ++i) {
          theta_.push_back((i < problem.net.fan_out(l) ? T(1) : T(0)) + T(0.2) * normal());
        }
      }
    }
    for (std::size_t i = 0; i < theta_.size(); ++i) tangent_.push_back(normal());
    for (int i = 0; i < 2 * problem.net.depth; ++i) {
      rates_.push_back(k.one_rate ? T(0.05) : T(0.05) + T(0.02) * static_cast<T>(i));
    }
  }

  struct Results {
    std::vector<T> outputs, losses, support_losses, task_vectors, grad;
    std::vector<std::uint8_t> diverged;
  };

  Results run(const Engine<T>& engine, int workers) {
    CHECK(engine.unsupported(problem) == nullptr);
    Results r;
    const auto tasks = static_cast<std::size_t>(problem.tasks);
    const Index rows = case_.shared ? problem.tasks * support_.offsets[1] : support_.offsets.back();
    const T unset = std::numeric_limits<T>::quiet_NaN();
    r.outputs.assign(static_cast<std::size_t>(rows * problem.net.outputs()), unset);
    r.losses.assign(tasks, unset);
    r.support_losses.assign(tasks, unset);
    r.task_vectors.assign(tasks * static_cast<std::size_t>(problem.layout.n_params), unset);
    r.grad.assign(static_cast<std::size_t>(problem.layout.n_params), unset);
    r.diverged.assign(tasks, 0);
    Call<T> call;
    call.theta = theta_.data();
    call.theta_stride = case_.theta_per_task ? problem.layout.n_params : 0;
    call.support = support_.view(case_);
    call.query = query_.view(case_);
    call.tangent = tangent_.data();
    call.tangent_stride = case_.tangent_per_task ? problem.layout.n_params : 0;
    call.rates = rates_.data();
    call.rate_steps = case_.one_rate ? 1 : 2;
    call.grad_scale = T(1) / static_cast<T>(problem.tasks);
    call.outputs = r.outputs.data();
    call.losses = r.losses.data();
    call.support_losses = case_.steps > 0 ? r.support_losses.data() : nullptr;
    const bool vectors = problem.operation != Operation::meta_gradient || case_.task_gradients;
    call.task_vectors = vectors ? r.task_vectors.data() : nullptr;
    call.grad = r.grad.data();
    call.diverged = r.diverged.data();
    // Neither zeros nor leftovers may be relied on: the workspace starts as NaN.
    const std::size_t bytes = engine.workspace_bytes(problem, workers);
    std::vector<std::byte> memory(bytes + Arena::kAlignment + kGuard);
    void* place = memory.data();
    std::size_t room = memory.size();
    auto* start = static_cast<std::byte*>(std::align(Arena::kAlignment, bytes, place, room));
    std::memset(start, 0xff, bytes + kGuard);
    CHECK(engine.run(problem, call, {workers, {}}, start) == Status::ok);
    for (std::size_t i = 0; i < kGuard; ++i) CHECK(start[bytes + i] == std::byte{0xff});
    return r;
  }

  Problem problem;
  std::vector<T>& theta() { return theta_; }

 private:
  static constexpr std::size_t kGuard = 64;

  T normal() { return static_cast<T>(distribution_(random_)); }

  Set<T> make_set(Index n) {
    Set<T> set;
    set.offsets.push_back(0);
    for (Index t = 0; t < case_.tasks; ++t) {
      const Index count = case_.ragged ? std::max<Index>(1, n - t % 3) : n;
      set.offsets.push_back(set.offsets.back() + count);
      set.shape.longest = std::max(set.shape.longest, count);
      for (Index r = 0; r < count; ++r) {
        for (Index i = 0; i < problem.net.inputs(); ++i) set.x.push_back(normal());
        for (Index i = 0; i < problem.net.outputs(); ++i) set.y.push_back(normal());
        set.labels.push_back(static_cast<std::int32_t>(random_() % problem.net.outputs()));
        set.c.push_back(r % 4 == 3 ? T(0) : normal() / static_cast<T>(count));
      }
    }
    set.shape.total = set.offsets.back();
    set.shape.ragged = case_.ragged;
    return set;
  }

  Case case_;
  std::mt19937 random_{7};
  std::normal_distribution<double> distribution_;
  Set<T> support_, query_;
  std::vector<T> theta_, tangent_, rates_;
};

template <class T>
bool close(const std::vector<T>& a, const std::vector<T>& b, double tolerance) {
  double largest = 0, error = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::isnan(a[i]) || std::isnan(b[i])) return false;
    largest = std::max(largest, std::abs(static_cast<double>(b[i])));
    error = std::max(error, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return error <= tolerance * std::max(largest, 1e-3);
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

void describe(const char* type, const Case& k, Operation operation) {
  std::printf("  in %s, operation %d, sizes", type, static_cast<int>(operation));
  for (const Index n : k.sizes) std::printf(" %d", static_cast<int>(n));
  std::printf(", %s, %s, %s, tasks %d, rows %d/%d, steps %d\n",
              kActivationNames[static_cast<int>(k.activation)],
              kLossNames[static_cast<int>(k.loss)], kFlowNames[static_cast<int>(k.flow)],
              static_cast<int>(k.tasks), static_cast<int>(k.support), static_cast<int>(k.query),
              k.steps);
}

template <class T>
void compare(const Case& k, Operation operation) {
  const int before = check::failures();
  Fixture<T> fixture(k, operation);
  const auto expected = fixture.run(reference_engine<T>(), 1);
  const auto got = fixture.run(rows_engine<T>(), 1);
  const double tolerance = std::is_same_v<T, float> ? 2e-4 : 1e-11;
  CHECK(close(got.outputs, expected.outputs, tolerance));
  CHECK(close(got.losses, expected.losses, tolerance));
  CHECK(close(got.support_losses, expected.support_losses, tolerance));
  CHECK(close(got.task_vectors, expected.task_vectors, tolerance));
  CHECK(close(got.grad, expected.grad, tolerance));
  CHECK(got.diverged == expected.diverged);
  for (const int workers : {2, 3, 4, 7}) {
    const auto again = fixture.run(rows_engine<T>(), workers);
    CHECK(same_bits(again.outputs, got.outputs) && same_bits(again.losses, got.losses) &&
          same_bits(again.task_vectors, got.task_vectors) && same_bits(again.grad, got.grad));
  }
  if (check::failures() != before) {
    describe(std::is_same_v<T, float> ? "float" : "double", k, operation);
  }
}

constexpr Operation kOperations[] = {Operation::predict,  Operation::loss,
                                     Operation::gradient, Operation::hvp,
                                     Operation::adapt,    Operation::meta_gradient};

/// Every operation, both types, both flows; statistics of a few rows amplify float's rounding.
void compare_all(Case k) {
  for (const Operation operation : kOperations) {
    for (const Flow flow : {Flow::first, Flow::exact}) {
      if (flow == Flow::exact && operation != Operation::meta_gradient) continue;
      k.flow = flow;
      compare<double>(k, operation);
      // A ReLU whose input is a rounding error away from 0 may switch: double only.
      const bool smooth = k.activation != ActivationId::relu && k.norm == Norm::none;
      if (smooth) compare<float>(k, operation);
    }
  }
}

void every_activation_and_loss() {
  for (int a = 0; a < static_cast<int>(std::size(kActivationNames)); ++a) {
    for (int l = 0; l < static_cast<int>(std::size(kLossNames)); ++l) {
      Case k{.sizes = {5, 9, 17, 3}};
      k.activation = static_cast<ActivationId>(a);
      k.loss = static_cast<LossId>(l);
      compare_all(k);
    }
  }
}

void every_size() {
  for (const Index width : {1, 2, 7, 8, 16, 31, 33, 65}) {
    compare_all({.sizes = {3, width, width, 2}, .support = 13, .query = 29, .one_rate = true});
    compare_all({.sizes = {width, width, width + 1}, .loss = LossId::cross_entropy});
  }
  compare_all({.sizes = {4, 3}});
  compare_all({.sizes = {1, 1}, .tasks = 1, .support = 1, .query = 1, .steps = 1});
  compare_all({.sizes = {100, 48, 24, 5}, .tasks = 5, .support = 5, .query = 15, .steps = 3});
  compare_all({.sizes = {300, 40, 5}, .loss = LossId::cross_entropy, .tasks = 4, .query = 20});
  compare_all({.sizes = {200, 96, 3}, .tasks = 2, .support = 300, .query = 260});
  compare_all({.sizes = {30, 256, 256, 8}, .tasks = 3, .support = 14, .query = 30});
}

void normalised_layers() {
  for (const Norm norm : {Norm::layer, Norm::batch}) {
    for (const Index width : {3, 7, 8, 16, 17, 33}) {
      Case k{.sizes = {5, width, width + 1, 3}, .norm = norm, .support = 13, .query = 20};
      k.ragged = width % 2 != 0;
      k.theta_per_task = width % 3 != 0;
      compare_all(k);
    }
    compare_all({.sizes = {70, 40, 5}, .norm = norm, .tasks = 2, .support = 70, .query = 90});
  }
}

void every_layout_of_rows() {
  for (int bits = 0; bits < 32; ++bits) {
    Case k{.sizes = {6, 20, 11, 4}, .tasks = 19, .support = 6, .query = 9};
    k.ragged = (bits & 1) != 0;
    k.weighted = (bits & 2) != 0;
    k.shared = (bits & 4) != 0;
    k.theta_per_task = (bits & 8) != 0;
    k.task_gradients = (bits & 16) != 0;
    k.tangent_per_task = !k.ragged;
    k.loss = k.weighted ? LossId::cross_entropy : LossId::mse;
    if (k.shared && k.ragged) continue;
    compare_all(k);
  }
}

/// Inputs wide enough for the dual first layer, parameters enough to be deferred, rows enough for
/// several rounds.
void wide_inputs_and_large_layers() {
  for (int bits = 0; bits < 16; ++bits) {
    Case k{.sizes = {150, 33, 20, 4}, .tasks = 7, .support = 6, .query = 10, .steps = 3};
    k.ragged = (bits & 1) != 0;
    k.shared = (bits & 2) != 0;
    if (k.shared && k.ragged) continue;
    k.weighted = k.theta_per_task = (bits & 4) != 0;
    k.task_gradients = (bits & 8) != 0;
    k.activation = k.weighted ? ActivationId::relu : ActivationId::silu;
    for (const Index width : {33, 340}) {
      k.sizes[1] = width;
      k.flow = Flow::first;
      compare<double>(k, Operation::meta_gradient);
      k.flow = Flow::exact;
      compare<double>(k, Operation::meta_gradient);
      compare<double>(k, Operation::adapt);
    }
  }
  Case k{.sizes = {30, 200, 250, 3}, .tasks = 6, .support = 12, .query = 20, .steps = 1};
  compare<double>(k, Operation::meta_gradient);
  k = {
      .sizes = {400, 120, 3}, .tasks = 5, .support = 10, .query = 1500, .steps = 1, .ragged = true};
  compare<double>(k, Operation::meta_gradient);
  k.flow = Flow::exact;
  compare<double>(k, Operation::meta_gradient);
}

/// Sums over rows, and over tasks, of more than a few terms: blocks, runs of blocks, stretches.
void long_sums() {
  for (const Norm norm : {Norm::none, Norm::layer}) {
    for (const Index rows : {81, 300, 1700}) {
      Case k{.sizes = {5, 35, 3}, .tasks = 3, .support = rows, .query = rows + 7, .steps = 2};
      k.norm = norm;
      k.ragged = true;
      compare_all(k);
      k.task_gradients = true;
      k.one_rate = true;
      compare_all(k);
    }
  }
  Case wide{.sizes = {900, 40, 3}, .tasks = 2, .support = 100, .query = 90, .steps = 2};
  compare_all(wide);  // the dual first layer
  Case many{.sizes = {3, 20, 2}, .tasks = 4200, .support = 1, .query = 2, .steps = 1};
  for (const bool apart : {false, true}) {
    many.task_gradients = apart;
    compare<double>(many, Operation::meta_gradient);
  }
  Case deferred{.sizes = {90, 600, 3}, .tasks = 600, .support = 2, .query = 9, .steps = 1};
  compare<double>(deferred, Operation::meta_gradient);
}

void any_number_of_steps() {
  for (const int steps : {0, 1, 3, 6}) {
    Case k{.sizes = {40, 24, 3}, .activation = ActivationId::relu, .tasks = 4};
    k.steps = steps;
    compare_all(k);
    k.activation = ActivationId::silu;
    compare_all(k);
  }
}

/// A task that blows up is flagged, and only that one.
void divergence() {
  for (const Operation operation : {Operation::adapt, Operation::meta_gradient}) {
    Case k{.sizes = {4, 8, 2}, .activation = ActivationId::relu, .tasks = 5};
    k.theta_per_task = true;
    Fixture<float> fixture(k, operation);
    fixture.theta()[static_cast<std::size_t>(2 * fixture.problem.layout.n_params)] =
        std::numeric_limits<float>::infinity();
    const auto got = fixture.run(rows_engine<float>(), 2);
    for (std::size_t t = 0; t < 5; ++t) CHECK((got.diverged[t] != 0) == (t == 2));
  }
}

}  // namespace

int main() {
  every_activation_and_loss();
  every_size();
  normalised_layers();
  every_layout_of_rows();
  wide_inputs_and_large_layers();
  long_sums();
  any_number_of_steps();
  divergence();
  return check::report();
}
