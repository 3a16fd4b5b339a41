// Every algorithm in every engine: Rows and Lanes against the reference engine, in stale memory.
#include <string>
#include "api/engines.hpp"

#include "engine_case.hpp"

using namespace engine_case;

namespace {

/// One algorithm on the axes of AlgorithmSpec.
struct Choice {
  const char* what;
  void (*set)(Problem& problem);
};

const Choice kOptimisers[] = {
    {"momentum",
     [](Problem& p) {
       p.algorithm.inner.parameters.value = {0.9, 1};
       p.algorithm.inner.proximal = 0.1;
     }},
    {"adam",
     [](Problem& p) {
       p.algorithm.inner.id = InnerId::adam;
       p.algorithm.inner.parameters.value = {0.9, 0.999, 0.1};
       p.algorithm.inner.clip_norm = 0.5;
     }},
    {"rmsprop",
     [](Problem& p) {
       p.algorithm.inner.id = InnerId::rmsprop;
       p.algorithm.inner.parameters.value = {0.99, 0.1, 0.5, 1};
       p.algorithm.inner.weight_decay = 0.1;
     }},
    {"adagrad",
     [](Problem& p) {
       p.algorithm.inner.id = InnerId::adagrad;
       p.algorithm.inner.parameters.value = {0.1, 0.1, 0.1};
       p.algorithm.inner.decoupled_weight_decay = 0.1;
     }},
};

const Choice kMasks[] = {
    {"all", [](Problem&) {}},
    {"head", [](Problem& p) { p.algorithm.layers = 1U << (p.net.depth - 1); }},
    {"body", [](Problem& p) { p.algorithm.layers = (1U << (p.net.depth - 1)) - 1; }},
    {"middle", [](Problem& p) { p.algorithm.layers = 2; }},
};

const Choice kFlows[] = {
    {"first", [](Problem& p) { p.algorithm.multi_step = true; }},
    {"first, learned", [](Problem& p) { p.algorithm.learns_rates = true; }},
    {"exact", [](Problem& p) { p.algorithm.flow = Flow::exact; }},
    {"exact, learned, multi-step",
     [](Problem& p) {
       p.algorithm.flow = Flow::exact;
       p.algorithm.multi_step = p.algorithm.learns_rates = true;
       p.algorithm.rates_per_parameter = true;
     }},
    {"reptile", [](Problem& p) { p.algorithm.flow = Flow::reptile; }},
    {"implicit",
     [](Problem& p) {
       p.algorithm.flow = Flow::implicit;
       p.algorithm.implicit = {20, 0, 4};
     }},
};

/// All results of `engine`, in T, against those of the reference engine in double precision.
template <class T>
void agree(const Engine<T>& engine, const Problem& problem, const Data<double>& data,
           const Results<double>& expected, double tolerance) {
  for (const int workers : {1, 3}) {
    const Results<T> got = compute(engine, problem, Data<T>::from(data), false, workers);
    CHECK(difference(got.losses, expected.losses) <= tolerance);
    CHECK(difference(got.task_vectors, expected.task_vectors) <= tolerance);
    CHECK(difference(got.grad, expected.grad) <= tolerance);
    if (problem.algorithm.learns_rates) {
      CHECK(difference(got.rate_grad, expected.rate_grad) <= tolerance);
    }
    CHECK(got.diverged == expected.diverged);
    CHECK(got.indefinite == expected.indefinite);
  }
}

template <class T>
Engine<T> engine_named(const char* name) {
  for (int i = 0; i < api::engine_count(); ++i) {
    if (std::string(api::engine_name(i)) == name) return api::engine<T>(i);
  }
  __builtin_unreachable();
}

/// `linear_systems`: what their conditioning leaves of float.
void every_algorithm(const Case& c, double linear_systems = 2e-3) {
  for (const Choice& optimiser : kOptimisers) {
    for (const Choice& mask : kMasks) {
      for (const Choice& flow : kFlows) {
        Problem problem = problem_of(c, Operation::meta_gradient, Flow::first);
        for (const Choice* choice : {&optimiser, &mask, &flow}) choice->set(problem);
        if (c.stepped && problem.algorithm.flow == Flow::implicit) continue;
        problem.weighs_tasks = true;
        if (problem.algorithm.flow == Flow::implicit) {
          problem.algorithm.inner.proximal = problem.algorithm.implicit.pull;
          problem.algorithm.inner.weight_decay = 0;
          problem.algorithm.inner.decoupled_weight_decay = 0;
        }
        const Data<double> data = draw(c, problem);
        const Results<double> expected = compute(engine_named<double>("reference"), problem, data);
        for (const char* engine : {"rows", "lanes"}) {
          const auto exact = engine_named<double>(engine);
          if (exact.unsupported(problem) != nullptr) continue;
          agree(exact, problem, data, expected, 1e-9);
          const bool solves = problem.algorithm.flow == Flow::implicit;
          // In float, statistics of few rows may be ill-conditioned.
          const double tolerance = problem.net.normalized() ? 5e-2 : solves ? linear_systems : 2e-3;
          agree(engine_named<float>(engine), problem, data, expected, tolerance);
        }
      }
    }
  }
}

/// Plain descent has fused steps, which load the rows of each step themselves; wide inputs, and
/// more rows than go through a network together, have steps of their own where all steps share
/// rows.
void descent_on_rows_of_steps() {
  for (const Rows rows : {Rows::even, Rows::ragged, Rows::weighted, Rows::shared, Rows::outputs}) {
    for (const auto& [inputs, most] : {std::pair<Index, Index>{3, 9}, {64, 3}, {2, 130}}) {
      for (const Flow flow : {Flow::first, Flow::exact}) {
        for (const Operation operation : {Operation::adapt, Operation::meta_gradient}) {
          Case c;
          c.sizes = {inputs, 9, 2};
          c.support = most;
          c.rows = rows;
          c.steps = 4;
          c.stepped = true;
          Problem problem = problem_of(c, operation, flow);
          const Data<double> data = draw(c, problem);
          const bool shared = rows == Rows::shared;
          const auto expected = compute(engine_named<double>("reference"), problem, data, shared);
          for (const char* engine : {"rows", "lanes"}) {
            const auto got = compute(engine_named<double>(engine), problem, data, shared);
            CHECK(difference(got.task_vectors, expected.task_vectors) < 1e-10);
            CHECK(difference(got.losses, expected.losses) < 1e-11);
            CHECK(difference(got.grad, expected.grad) < 1e-10);
          }
        }
      }
    }
  }
}

/// A forced engine computes traces too, unless it cannot: then another does, to diagnose.
void traces_follow_the_forced_engine() {
  Problem problem = problem_of(Case{}, Operation::adapt, Flow::first);
  problem.wants_trace = true;
  for (int i = 0; i < api::engine_count(); ++i) {
    api::force_engine(i);
    CHECK(api::choose_engine<float>(problem) == i);
  }
  problem.algorithm.context = 1;
  const auto is_rows = [](int i) { return std::string(api::engine_name(i)) == "rows"; };
  for (int i = 0; i < api::engine_count(); ++i) {
    if (is_rows(i)) api::force_engine(i);
  }
  const int chosen = api::choose_engine<float>(problem);
  CHECK(chosen >= 0 && !is_rows(chosen));
  api::force_engine(-1);
}

}  // namespace

int main() {
  traces_follow_the_forced_engine();
  descent_on_rows_of_steps();
  Case c;
  c.steps = 3;
  every_algorithm(c);
  c.rows = Rows::ragged;
  c.stepped = true;
  every_algorithm(c);
  c.stepped = false;
  c.rows = Rows::ragged;
  c.activations = {ActivationId::silu, ActivationId::tanh};
  c.loss = LossId::cross_entropy;
  every_algorithm(c);
  c.rows = Rows::weighted;
  c.sizes = {7, 9, 17, 3};
  c.tasks = 5;
  c.theta_per_task = true;
  every_algorithm(c);
  c.norms = {Norm::batch, Norm::layer};
  every_algorithm(c);
  c.rows = Rows::even;
  every_algorithm(c);
  c.sizes = {32, 48, 64, 3};  // rows that would share few sets of a cache
  every_algorithm(c);
  c.norms = {Norm::none};
  c.theta_per_task = false;
  every_algorithm(c, 2e-2);  // 8e-3, in both engines alike
  return check::report();
}
