// The Lanes engine against the reference engine in float64: every operation, activation and loss,
// ragged tasks, coefficients of rows and outputs, shared rows, and groups that are not full.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "check.hpp"
#include "engine_case.hpp"
#include "engines/lanes/lanes.hpp"
#include "engines/reference/reference.hpp"

using namespace engine_case;

namespace {

constexpr Operation kOperations[] = {Operation::predict,  Operation::loss,
                                     Operation::gradient, Operation::hvp,
                                     Operation::adapt,    Operation::meta_gradient};

template <class T>
void agree(const Case& c, Operation operation, Flow flow, double tolerance, const char* what) {
  Problem problem = problem_of(c, operation, flow);
  const Data<double> data = draw(c, problem);
  const bool shared = c.rows == Rows::shared;
  const Results<double> expected = compute(reference_engine<double>(), problem, data, shared);
  const Results<T> got = compute(lanes_engine<T>(), problem, Data<T>::from(data), shared);
  const double error = std::max(
      {difference(got.outputs, expected.outputs), difference(got.losses, expected.losses),
       difference(got.support_losses, expected.support_losses),
       difference(got.task_vectors, expected.task_vectors), difference(got.grad, expected.grad)});
  const bool flags = got.diverged == expected.diverged;
  if (!CHECK(error < tolerance) || !CHECK(flags)) {
    std::printf("  %s, operation %d, %s, loss %d, rows %d, %d-bit: error %.2e\n", what,
                static_cast<int>(operation), kFlowNames[static_cast<int>(flow)],
                static_cast<int>(c.loss), static_cast<int>(c.rows), static_cast<int>(8 * sizeof(T)),
                error);
  }
}

void agree_everywhere(const Case& c, const char* what) {
  for (const Operation operation : kOperations) {
    for (const Flow flow : {Flow::first, Flow::exact}) {
      if (flow == Flow::exact && operation != Operation::meta_gradient) continue;
      agree<double>(c, operation, flow, 1e-11, what);
      agree<float>(c, operation, flow, 5e-5, what);
    }
  }
}

void test_agreement() {
  for (std::size_t a = 0; a < std::size(kActivationNames); ++a) {
    for (std::size_t l = 0; l < std::size(kLossNames); ++l) {
      for (const Rows rows :
           {Rows::even, Rows::ragged, Rows::weighted, Rows::shared, Rows::outputs}) {
        if (rows == Rows::outputs && !kLossFacts[l].averages_outputs) continue;
        Case c;
        c.activations = {static_cast<ActivationId>(a)};
        c.loss = static_cast<LossId>(l);
        c.rows = rows;
        agree_everywhere(c, kActivationNames[a]);
        c.theta_per_task = true;
        c.activations.push_back(ActivationId::relu);
        agree_everywhere(c, "mixed activations, theta per task");
      }
    }
  }
}

void test_shapes() {
  for (const Index tasks : {1, 3, 8, 16, 17, 40}) {
    Case c;
    c.tasks = tasks;
    agree_everywhere(c, "tasks");
  }
  for (const std::vector<Index>& sizes : std::vector<std::vector<Index>>{{1, 1},
                                                                         {4, 3},
                                                                         {1, 7, 1},
                                                                         {2, 1, 1, 3},
                                                                         {9, 13, 11, 6, 8},
                                                                         {64, 32, 48, 5},
                                                                         {2, 128, 33, 64}}) {
    Case c;
    c.sizes = sizes;
    c.tasks = 5;
    agree_everywhere(c, "sizes");
    c.loss = LossId::cross_entropy;
    agree_everywhere(c, "sizes");
    c.rows = Rows::ragged;
    c.theta_per_task = true;
    agree_everywhere(c, "sizes, ragged, theta per task");
  }
  for (const int steps : {0, 1, 5}) {
    Case c;
    c.steps = steps;
    agree_everywhere(c, "steps");
    c.theta_per_task = true;
    agree_everywhere(c, "steps, theta per task");
  }
  for (const Rows rows : {Rows::even, Rows::ragged, Rows::weighted, Rows::shared, Rows::outputs}) {
    Case c;
    c.rows = rows;
    c.support = 130;  // more rows than go through the network together
    c.query = 70;
    agree_everywhere(c, "many rows");
    c.query = 5;
    agree_everywhere(c, "many support rows");
  }
}

/// The same bits for any number of workers.
/// Sums over rows, and over groups, of more than a few terms: blocks and runs of pieces.
void test_long_sums() {
  for (const Rows rows : {Rows::even, Rows::ragged, Rows::weighted, Rows::shared, Rows::outputs}) {
    for (const Index support : {7, 81, 300}) {
      Case c{.tasks = 5, .support = support, .query = 310 - support, .rows = rows};
      c.norms = {Norm::layer};
      agree_everywhere(c, "long sums");
      c.theta_per_task = true;
      c.norms = {Norm::none};
      agree_everywhere(c, "long sums, theta per task");
    }
  }
  // Groups of a block: some runs of 16, and an empty lane in the last.
  Case many{.sizes = {2, 3, 1}, .tasks = 40'001, .support = 1, .query = 2, .steps = 1};
  agree<float>(many, Operation::meta_gradient, Flow::first, 5e-6, "many tasks");
  agree<double>(many, Operation::meta_gradient, Flow::exact, 1e-12, "many tasks");
}

void test_workers() {
  for (const Flow flow : {Flow::first, Flow::exact}) {
    Case c;
    c.tasks = 157;
    c.rows = Rows::ragged;
    Problem problem = problem_of(c, Operation::meta_gradient, flow);
    const Data<float> data = Data<float>::from(draw(c, problem));
    const Results<float> one = compute(lanes_engine<float>(), problem, data);
    for (const int workers : {2, 3, 4, 7}) {
      const Results<float> many = compute(lanes_engine<float>(), problem, data, false, workers);
      CHECK(one.grad == many.grad);
      CHECK(one.losses == many.losses);
      CHECK(one.task_vectors == many.task_vectors);
    }
  }
}

/// Rows of coefficient 0 may hold anything.
void test_removed_rows() {
  Case c;
  c.rows = Rows::weighted;
  for (const Operation operation : kOperations) {
    if (operation == Operation::predict) continue;
    Problem problem = problem_of(c, operation, Flow::exact);
    Data<double> data = draw(c, problem);
    const Results<double> clean = compute(lanes_engine<double>(), problem, data);
    for (int set = 0; set < 2; ++set) {
      for (std::size_t row = 0; row < data.coefficients[set].size(); row += 3) {
        std::fill_n(data.x[set].begin() + static_cast<std::ptrdiff_t>(row) * 3, 3,
                    std::numeric_limits<double>::quiet_NaN());
        data.y[set][row * 2] = std::numeric_limits<double>::infinity();
      }
    }
    const Results<double> dirty = compute(lanes_engine<double>(), problem, data);
    CHECK(clean.losses == dirty.losses);
    CHECK(clean.task_vectors == dirty.task_vectors);
    CHECK(clean.grad == dirty.grad);
  }
}

/// A task that diverges is flagged and leaves the others' results alone.
void test_divergence() {
  for (const ActivationId activation : {ActivationId::relu, ActivationId::tanh}) {
    for (const Flow flow : {Flow::first, Flow::exact}) {
      for (const bool in_query : {false, true}) {
        Case c;
        c.activations = {activation};
        Problem problem = problem_of(c, Operation::meta_gradient, flow);
        Data<double> data = draw(c, problem);
        const Results<double> clean = compute(lanes_engine<double>(), problem, data);
        const std::size_t bad = 5, rows = in_query ? 6 : 4;
        data.y[in_query][bad * rows * 2] = 1e300;
        data.y[in_query][bad * rows * 2 + 1] = std::numeric_limits<double>::infinity();
        const Results<double> dirty = compute(lanes_engine<double>(), problem, data);
        const std::size_t P = static_cast<std::size_t>(problem.layout.n_params);
        CHECK(!std::isfinite(dirty.grad.back()));
        for (std::size_t task = 0; task < static_cast<std::size_t>(c.tasks); ++task) {
          CHECK(dirty.diverged[task] == (task == bad));
          if (task == bad) continue;
          CHECK(dirty.losses[task] == clean.losses[task]);
          CHECK(std::equal(dirty.task_vectors.begin() + static_cast<std::ptrdiff_t>(task * P),
                           dirty.task_vectors.begin() + static_cast<std::ptrdiff_t>((task + 1) * P),
                           clean.task_vectors.begin() + static_cast<std::ptrdiff_t>(task * P)));
        }
      }
    }
  }
}

/// A dead network: NaN parameters never give a finite loss.
void test_nan_parameters() {
  for (std::size_t a = 0; a < std::size(kActivationNames); ++a) {
    Case c;
    c.activations = {static_cast<ActivationId>(a)};
    c.theta_per_task = true;
    Problem problem = problem_of(c, Operation::loss, Flow::first);
    Data<float> data = Data<float>::from(draw(c, problem));
    data.theta[static_cast<std::size_t>(2 * problem.layout.n_params)] =
        std::numeric_limits<float>::quiet_NaN();
    const Results<float> results = compute(lanes_engine<float>(), problem, data);
    for (std::size_t task = 0; task < results.losses.size(); ++task) {
      CHECK(std::isnan(results.losses[task]) == (task == 2));
    }
  }
}

void test_declines() {
  Problem problem = problem_of(Case{}, Operation::adapt, Flow::first);
  problem.support.longest = 1000;
  CHECK(lanes_engine<float>().unsupported(problem) == nullptr);
  problem.wants_trace = true;  // only the fused steps know sets in pieces
  CHECK(lanes_engine<float>().unsupported(problem) != nullptr);
}

/// An interrupt ends a call that would take minutes, and every worker comes home. (With AVX-512,
/// 300 steps were over before anybody was asked.)
void test_interrupt() {
  Case c;
  c.steps = 10000;
  Problem problem = problem_of(c, Operation::meta_gradient, Flow::first);
  c.tasks = problem.tasks = 40000;
  Data<float> data = Data<float>::from(draw(c, problem));
  std::fill(data.rates.begin(), data.rates.end(), 0.0f);
  for (const int workers : {1, 2, 3}) {
    int asked = 0;
    Execution execution;
    execution.workers = workers;
    execution.interrupt = {[](void* count) { return ++*static_cast<int*>(count) > 1; }, &asked};
    CHECK(compute(lanes_engine<float>(), problem, data, false, execution).status ==
          Status::interrupted);
    CHECK(asked > 0);
  }
}

}  // namespace

int main() {
  test_agreement();
  test_shapes();
  test_long_sums();
  test_workers();
  test_removed_rows();
  test_divergence();
  test_nan_parameters();
  test_declines();
  test_interrupt();
  return check::report();
}
