// Traces of `adapt` in every engine: chosen steps against calls that end there, and where the first
// number that is not finite stands against the whole way.
#include <numeric>

#include "api/engines.hpp"
#include "engine_case.hpp"

using namespace engine_case;

namespace {

/// Every array of a trace.
template <class T>
struct Traced {
  std::vector<int> points;
  std::vector<T> thetas, query_losses, losses, last_finite;
  std::vector<std::int32_t> bad_loss, bad_theta;
  Results<T> results;
};

template <class T>
Traced<T> trace(const Engine<T>& engine, Problem problem, const Data<T>& data,
                std::vector<int> points, int workers = 1) {
  problem.wants_trace = true;
  problem.trace_points = static_cast<Index>(points.size());
  const auto tasks = static_cast<std::size_t>(problem.tasks);
  const auto adapted = static_cast<std::size_t>(problem.n_adapted());
  Traced<T> traced;
  traced.points = std::move(points);
  traced.thetas.resize(tasks * traced.points.size() * adapted);
  traced.query_losses.resize(tasks * traced.points.size());
  traced.losses.resize(tasks * static_cast<std::size_t>(problem.algorithm.steps + 1));
  traced.last_finite.resize(tasks * adapted);
  traced.bad_loss.resize(tasks);
  traced.bad_theta.resize(tasks);
  Execution execution;
  execution.workers = workers;
  traced.results = compute<T>(engine, problem, data, false, execution, [&](Call<T>& call) {
    call.trace_points = traced.points.data();
    call.trace_thetas = traced.thetas.data();
    call.trace_query_losses = traced.query_losses.data();
    call.trace_losses = traced.losses.data();
    call.last_finite = traced.last_finite.data();
    call.first_bad_loss = traced.bad_loss.data();
    call.first_bad_theta = traced.bad_theta.data();
  });
  return traced;
}

/// What a trace tells of single steps is what calls of so many steps end with.
template <class T>
void single_steps(const Engine<T>& engine, const Problem& problem, const Data<T>& data) {
  const Traced<T> traced = trace(engine, problem, data, {0, 2, 3, 5});
  const auto tasks = static_cast<std::size_t>(problem.tasks);
  const auto adapted = static_cast<std::size_t>(problem.n_adapted());
  for (std::size_t point = 0; point < traced.points.size(); ++point) {
    Problem shorter = problem;
    shorter.algorithm.steps = traced.points[point];
    const Traced<T> end = trace(engine, shorter, data, {shorter.algorithm.steps});
    for (std::size_t task = 0; task < tasks; ++task) {
      const std::size_t place = task * traced.points.size() + point;
      for (std::size_t i = 0; i < adapted; ++i) {
        CHECK(traced.thetas[place * adapted + i] == end.results.task_vectors[task * adapted + i]);
      }
      CHECK(traced.query_losses[place] == end.query_losses[task]);
      const auto steps = static_cast<std::size_t>(shorter.algorithm.steps);
      CHECK(traced.losses[task * 6 + steps] == end.losses[task * (steps + 1) + steps]);
      CHECK(end.bad_loss[task] == shorter.algorithm.steps + 1);
      CHECK(end.bad_theta[task] == shorter.algorithm.steps + 1);
    }
  }
  CHECK(std::equal(traced.last_finite.begin(), traced.last_finite.end(),
                   traced.results.task_vectors.begin()));
}

template <class T>
bool finite(const T* x, std::size_t count) {
  return std::all_of(x, x + count, [](T value) { return std::isfinite(value); });
}

/// The first bad steps and the last finite theta, looked for in a trace of every step.
template <class T>
void first_bad_steps(const Engine<T>& engine, const Problem& problem, const Data<T>& data) {
  const int steps = problem.algorithm.steps;
  std::vector<int> every(static_cast<std::size_t>(steps + 1));
  std::iota(every.begin(), every.end(), 0);
  const Traced<T> whole = trace(engine, problem, data, every);
  bool some = false, all = true;
  for (const int workers : {1, 3}) {
    const Traced<T> traced = trace(engine, problem, data, {}, workers);
    const auto adapted = static_cast<std::size_t>(problem.n_adapted());
    for (std::size_t task = 0; task < static_cast<std::size_t>(problem.tasks); ++task) {
      const std::size_t start = task * every.size();
      int bad_loss = 0, bad_theta = 0;
      while (bad_loss <= steps &&
             std::isfinite(whole.losses[start + static_cast<std::size_t>(bad_loss)])) {
        ++bad_loss;
      }
      const auto theta = [&](int k) {
        return whole.thetas.data() + (start + static_cast<std::size_t>(k)) * adapted;
      };
      while (bad_theta <= steps && finite(theta(bad_theta), adapted)) ++bad_theta;
      some = some || bad_theta <= steps;
      all = all && bad_theta <= steps;
      CHECK(traced.bad_loss[task] == bad_loss);
      CHECK(traced.bad_theta[task] == bad_theta);
      CHECK(std::equal(theta(bad_theta - 1), theta(bad_theta - 1) + adapted,
                       traced.last_finite.data() + task * adapted));
    }
  }
  CHECK(some && !all);
}

template <class T>
void every_engine(const Case& c, double rate_scale, void (*set)(Problem&)) {
  Problem problem = problem_of(c, Operation::adapt, Flow::first);
  set(problem);
  Data<double> data = draw(c, problem);
  for (double& rate : data.rates) rate *= rate_scale;
  const Index columns = c.sizes[0] - problem.algorithm.context;
  Data<double> wild = data;  // some tasks' rows are so large that they diverge, others are not
  for (std::size_t task = 1; task < static_cast<std::size_t>(c.tasks); task += 3) {
    const auto from = static_cast<std::size_t>(data.offsets[0][task] * columns);
    const auto end = static_cast<std::size_t>(data.offsets[0][task + 1] * columns);
    for (std::size_t i = from; i < end; ++i) wild.x[0][i] *= task % 2 == 0 ? 1e39 : 300;
  }
  for (int i = 0; i < api::engine_count(); ++i) {
    const Engine<T> engine = api::engine<T>(i);
    if (engine.unsupported(problem) != nullptr) continue;
    single_steps(engine, problem, Data<T>::from(data));
    Problem longer = problem;
    longer.algorithm.steps = 40;
    first_bad_steps(engine, longer, Data<T>::from(wild));
  }
}

}  // namespace

int main() {
  Case c;
  c.steps = 5;
  c.tasks = 19;
  c.activations = {ActivationId::identity};
  for (const Rows rows : {Rows::even, Rows::ragged}) {
    c.rows = rows;
    every_engine<float>(c, 0.1, [](Problem&) {});
    every_engine<double>(c, 0.1, [](Problem&) {});
  }
  every_engine<float>(c, 0.1, [](Problem& p) { p.algorithm.inner.parameters.value = {0.9, 1}; });
  every_engine<float>(c, 0.1, [](Problem& p) { p.algorithm.layers = 2; });
  every_engine<float>(c, 0.1, [](Problem& p) { p.algorithm.context = 2; });
  c.theta_per_task = true;
  c.sizes = {32, 48, 64, 3};  // rows that would share few sets of a cache
  every_engine<float>(c, 1e-4, [](Problem&) {});
  return check::report();
}
