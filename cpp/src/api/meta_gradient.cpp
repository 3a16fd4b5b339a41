#include "api/meta_gradient.hpp"

#include "api/adaptation.hpp"
#include "api/head.hpp"
#include "api/parameters.hpp"
#include "api/run.hpp"
#include "base/finite.hpp"
#include "base/memory.hpp"
#include "kernels/compensated.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

bool check(const MetaArguments& in, Fault& fault) {
  if (!check_parameters(in.theta, {.n_params = in.net->n_params(), .per_task = false}, fault)) {
    return false;
  }
  const DType dtype = in.theta.dtype();
  if (in.support->dtype != dtype) {
    fault.reason = Reason::batch_dtype;
    fault.dtype = dtype;
    fault.like = in.support->dtype;
    return false;
  }
  const Index context = in.algorithm->spec.context;
  return fits(*in.algorithm, *in.net, in.rates, dtype, fault) &&
         (!in.check_finite || check_finite(in.theta, false, fault)) &&
         fits(*in.support, *in.net, nullptr, context, fault) &&
         match(*in.support, in.algorithm->spec, fault) &&
         head_fits(*in.algorithm, *in.net, *in.support, fault) &&
         (!in.algorithm->owns_query_loss ||
          fits(*in.query, *in.net, in.algorithm->loss_of_query(), context, fault));
}

Problem meta_problem(const MetaArguments& in) {
  Problem problem;
  problem.operation = Operation::meta_gradient;
  problem.net = in.net->spec;
  problem.layout = in.net->layout;
  problem.tasks = in.support->tasks;
  problem.support = in.support->shape_with(loss_of(*in.net, *in.support));
  problem.query = in.query->shape_with(loss_of(*in.net, *in.query, in.algorithm->loss_of_query()));
  problem.weighs_tasks = in.task_weights != nullptr;
  return problem;
}

namespace {

template <class T>
Status run_once(const MetaArguments& in, const Execution& execution, MetaResults<T>& results) {
  Problem problem = meta_problem(in);
  problem.wants_task_gradients = results.task_grads != nullptr;
  Call<T> call;
  const AlgorithmAt<T> at(*in.algorithm, *in.net, in.rates);
  at.fill(problem, call);
  call.theta = in.theta.array().template as<T>();
  call.support = in.support->view<T>();
  call.query = in.query->view<T>();
  call.task_weights = static_cast<const T*>(in.task_weights);
  const double weight = in.mean ? 1.0 / static_cast<double>(problem.tasks) : 1.0;
  call.grad_scale = static_cast<T>(weight);
  call.grad = results.grad;
  call.losses = results.losses;
  call.support_losses = results.support_losses;
  call.task_vectors = results.task_grads;
  call.diverged = results.diverged;
  call.solver = results.solver;
  // One rate is a rate of every layer to the engines.
  std::array<T, kMaxLayers> of_layers;
  const bool collapses = at.shape().axes == 0;
  if (results.rate_grad != nullptr) {
    call.rate_grad = collapses ? of_layers.data() : results.rate_grad;
  }
  const Status status = run(problem, call, execution);
  if (status != Status::ok && status != Status::diverged) return status;

  CompensatedSum<double> total;
  for (Index t = 0; t < problem.tasks; ++t) {
    const double share =
        call.task_weights == nullptr ? 1 : static_cast<double>(call.task_weights[t]);
    total.add(share * static_cast<double>(results.losses[t]));
  }
  results.loss = total.value() * weight;
  results.finite = all_finite(results.grad, in.net->n_params());
  if (results.rate_grad != nullptr) {
    results.finite = results.finite && all_finite(call.rate_grad, problem.n_rates());
    at.collapse(call.rate_grad, results.rate_grad, problem.n_rates());
    results.finite = results.finite && all_finite(results.rate_grad, at.n_given());
  }
  return status;
}

/// Query losses at theta, with whatever the algorithm changes about them.
template <class T>
Status losses_before(const MetaArguments& in, const Execution& execution, T* losses) {
  const int start = 0;
  const AdaptationArguments arguments{.net = in.net,
                                      .algorithm = in.algorithm,
                                      .theta = in.theta,
                                      .support = in.support,
                                      .query = in.query,
                                      .rates = in.rates,
                                      .steps = 0};
  const Workspace workspace = Workspace::checkout(static_cast<std::size_t>(in.support->tasks));
  if (workspace.memory() == nullptr) return Status::out_of_memory;
  auto* const diverged = reinterpret_cast<std::uint8_t*>(workspace.memory());
  const Status status = Adaptation::of_checked(arguments).template trace<T>(
      {.points = &start, .n_points = 1, .query_losses = losses}, diverged, execution);
  return status == Status::diverged ? Status::ok : status;
}

template <class T>
Status first_bad_step(const MetaArguments& in, const Execution& execution, const Index* lost,
                      Index count, int& step) {
  const Workspace workspace =
      Workspace::checkout(static_cast<std::size_t>(count) * sizeof(std::int32_t));
  if (workspace.memory() == nullptr) return Status::out_of_memory;
  auto* const steps = reinterpret_cast<std::int32_t*>(workspace.memory());
  const AdaptationArguments arguments{.net = in.net,
                                      .algorithm = in.algorithm,
                                      .theta = in.theta,
                                      .support = in.support,
                                      .rates = in.rates,
                                      .steps = in.algorithm->spec.steps,
                                      .check_finite = false};
  const Status status = Adaptation::of_checked(arguments).template diagnose<T>(lost, count, steps,
                                                                               nullptr, execution);
  if (status == Status::ok) step = *std::min_element(steps, steps + count);
  return status;
}

/// The gradient of the tasks that did not diverge.
template <class T>
Status run_rest(const MetaArguments& in, const Execution& execution, const Index* kept, Index count,
                MetaResults<T>& results) {
  struct Parts {
    Examples support, query;
    T *losses, *task_weights;
    std::uint8_t* diverged;
  };
  const auto carve = [&](Arena& arena) {
    return Parts{take_tasks(*in.support, kept, count, arena),
                 take_tasks(*in.query, kept, count, arena), arena.take<T>(count),
                 arena.take<T>(count), arena.take<std::uint8_t>(count)};
  };
  Arena counting;
  carve(counting);
  const Workspace workspace = Workspace::checkout(counting.used());
  if (workspace.memory() == nullptr) return Status::out_of_memory;
  Arena arena(workspace.memory());
  const Parts parts = carve(arena);
  MetaArguments rest = in;
  rest.support = &parts.support;
  rest.query = &parts.query;
  if (in.task_weights != nullptr) {
    for (Index i = 0; i < count; ++i) {
      parts.task_weights[i] = static_cast<const T*>(in.task_weights)[kept[i]];
    }
    rest.task_weights = parts.task_weights;
  }
  MetaResults<T> of_rest{.grad = results.grad,
                         .losses = parts.losses,
                         .rate_grad = results.rate_grad,
                         .diverged = parts.diverged};
  const Status status = run_once(rest, execution, of_rest);
  results.loss = of_rest.loss;
  results.finite = of_rest.finite;
  return status;
}

}  // namespace

template <class T>
Status meta_gradient(const MetaArguments& in, const Execution& execution, MetaResults<T>& results) {
  Status status = run_once(in, execution, results);
  if (status != Status::ok && status != Status::diverged) return status;
  if (results.losses_before != nullptr) {
    const Status before = losses_before(in, execution, results.losses_before);
    if (before != Status::ok) return before;
  }
  if (status == Status::ok) return status;
  const Index tasks = in.support->tasks;
  const Workspace workspace = Workspace::checkout(static_cast<std::size_t>(tasks) * sizeof(Index));
  if (workspace.memory() == nullptr) return Status::out_of_memory;
  auto* const some = reinterpret_cast<Index*>(workspace.memory());
  results.n_diverged = std::count(results.diverged, results.diverged + tasks, 1);
  const bool drops = in.drops && results.n_diverged < tasks;
  Index count = 0;
  for (Index t = 0; t < tasks; ++t) {
    if ((results.diverged[t] == 0) == drops) some[count++] = t;
  }
  if (drops) {
    status = run_rest(in, execution, some, count, results);
    return status == Status::diverged ? Status::ok : status;
  }
  status = first_bad_step<T>(in, execution, some, count, results.first_bad_step);
  return status == Status::ok ? Status::diverged : status;
}

template Status meta_gradient(const MetaArguments&, const Execution&, MetaResults<float>&);
template Status meta_gradient(const MetaArguments&, const Execution&, MetaResults<double>&);

}  // namespace FOMAML_FAST_NAMESPACE::api
