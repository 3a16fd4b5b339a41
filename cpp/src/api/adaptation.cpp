#include "api/adaptation.hpp"

#include "api/head.hpp"
#include "api/parameters.hpp"
#include "api/run.hpp"
#include "base/memory.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

Adaptation::Adaptation(const AdaptationArguments& arguments) : in_(arguments), reader_(in_.rows) {}

Adaptation Adaptation::of_checked(const AdaptationArguments& arguments) {
  Adaptation adaptation(arguments);
  adaptation.single_ = false;
  adaptation.support_ = *arguments.support;
  adaptation.tasks_ = arguments.support->tasks;
  return adaptation;
}

bool Adaptation::measure(Fault& fault) {
  const Network& net = *in_.net;
  const ParameterRule rule{.n_params = net.n_params(), .per_task = in_.theta_per_task};
  if (!check_parameters(in_.theta, rule, fault) ||
      !fits(*in_.algorithm, net, in_.rates, in_.theta.dtype(), fault)) {
    return false;
  }
  tasks_ = vectors_in(in_.theta);
  single_ = in_.theta.array().shape.axes == 1;
  if (in_.support != nullptr) {
    single_ = false;
    return true;
  }
  in_.rows.dtype = in_.theta.dtype();
  in_.rows.inputs = net.spec.inputs() - in_.algorithm->spec.context;
  in_.rows.check_finite = in_.check_finite;
  in_.rows.takes_steps = true;
  if (!axis_.fold(in_.rows, fault) || !reader_.measure(fault)) return false;
  single_ = single_ && reader_.single();
  return true;
}

bool Adaptation::read(std::byte* memory, Fault& fault) {
  const Network& net = *in_.net;
  const Index context = in_.algorithm->spec.context;
  if (in_.check_finite && !check_finite(in_.theta, false, fault)) return false;
  if (in_.support != nullptr) {
    support_ = *in_.support;
    if (support_.dtype != in_.theta.dtype()) {
      fault.reason = Reason::batch_dtype;
      fault.name = in_.theta.name;
      fault.dtype = in_.theta.dtype();
      fault.like = support_.dtype;
      return false;
    }
  } else if (!reader_.read(memory, support_, fault)) {
    return false;
  }
  if (!fits(support_, net, nullptr, context, fault) ||
      !head_fits(*in_.algorithm, net, support_, fault)) {
    return false;
  }
  if (in_.algorithm->spec.head.given() && in_.steps > 1) {
    fault.reason = Reason::head_steps;
    fault.name = "steps";
    fault.got = in_.steps;
    return false;
  }
  if (!holds_steps(support_, in_.steps, in_.all_steps, fault)) return false;
  if (in_.query != nullptr &&
      !fits(*in_.query, net, in_.algorithm->loss_of_query(), context, fault)) {
    return false;
  }
  if (support_.tasks > 1 && tasks_ > 1 && support_.tasks != tasks_) {
    fault.reason = Reason::task_broadcast;
    fault.text = "";
    fault.name = support_.x_name;
    fault.count = tasks_;
    fault.got = support_.tasks;
    return false;
  }
  tasks_ = std::max(tasks_, support_.tasks);
  support_ = support_.for_tasks(tasks_);
  return true;
}

template <class T>
void Adaptation::fill(Problem& problem, Call<T>& call, const AlgorithmAt<T>& at) const {
  const Network& net = *in_.net;
  problem.operation = Operation::adapt;
  problem.net = net.spec;
  problem.layout = net.layout;
  at.fill(problem, call);
  problem.algorithm.steps = in_.steps;
  problem.tasks = tasks_;
  problem.support = support_.shape_with(loss_of(net, support_));
  call.support = support_.view<T>();
  call.theta = in_.theta.array().as<T>();
  problem.theta_per_task = vectors_in(in_.theta) > 1;
  call.theta_stride = problem.theta_per_task ? net.n_params() : 0;
}

template <class T>
Problem Adaptation::problem() const {
  Problem problem;
  Call<T> call;
  fill(problem, call, AlgorithmAt<T>(*in_.algorithm, *in_.net, in_.rates));
  if (in_.query != nullptr) problem.query = in_.query->shape;
  return problem;
}

template <class T>
Status Adaptation::run(T* adapted, std::uint8_t* diverged, const Execution& execution) const {
  Problem problem;
  Call<T> call;
  const AlgorithmAt<T> at(*in_.algorithm, *in_.net, in_.rates);
  fill(problem, call, at);
  call.task_vectors = adapted;
  call.diverged = diverged;
  return api::run(problem, call, execution);
}

template <class T>
Status Adaptation::trace(const Trace<T>& to, std::uint8_t* diverged,
                         const Execution& execution) const {
  Problem problem;
  Call<T> call;
  const AlgorithmAt<T> at(*in_.algorithm, *in_.net, in_.rates);
  fill(problem, call, at);
  problem.wants_trace = true;
  problem.trace_points = to.n_points;
  call.trace_points = to.points;
  call.trace_thetas = to.thetas;
  call.trace_losses = to.losses;
  call.trace_query_losses = to.query_losses;
  call.first_bad_loss = to.first_bad_loss;
  call.first_bad_theta = to.first_bad_theta;
  call.last_finite = to.last_finite;
  call.diverged = diverged;
  if (in_.query != nullptr) {
    problem.query =
        in_.query->shape_with(loss_of(*in_.net, *in_.query, in_.algorithm->loss_of_query()));
    call.query = in_.query->view<T>();
  }
  return api::run(problem, call, execution);
}

template <class T>
Status Adaptation::predict_query(T* means, T* deviations, std::uint8_t* diverged,
                                 const Execution& execution) const {
  Problem problem;
  Call<T> call;
  const AlgorithmAt<T> at(*in_.algorithm, *in_.net, in_.rates);
  fill(problem, call, at);
  problem.query =
      in_.query->shape_with(loss_of(*in_.net, *in_.query, in_.algorithm->loss_of_query()));
  call.query = in_.query->view<T>();
  call.outputs = means;
  call.deviations = deviations;
  call.diverged = diverged;
  return api::run(problem, call, execution);
}

template <class T>
Status Adaptation::trace_finite(Trace<T> to, std::uint8_t* diverged,
                                const Execution& execution) const {
  const Index size = n_adapted();
  const auto carve = [&](Arena& arena) {
    to.first_bad_theta = arena.take<std::int32_t>(tasks_);
    to.last_finite = arena.take<T>(tasks_ * size);
  };
  Arena counting;
  carve(counting);
  const Workspace workspace = Workspace::checkout(counting.used());
  if (workspace.memory() == nullptr) return Status::out_of_memory;
  Arena arena(workspace.memory());
  carve(arena);
  const Status status = trace(to, diverged, execution);
  if (status != Status::diverged || to.thetas == nullptr) return status;
  for (Index task = 0; task < tasks_; ++task) {
    for (Index i = 0; i < to.n_points; ++i) {
      if (to.points[i] < to.first_bad_theta[task]) continue;
      std::copy_n(to.last_finite + task * size, size, to.thetas + (task * to.n_points + i) * size);
    }
  }
  return status;
}

template <class T>
Status Adaptation::evaluate(const int* points, Index n_points, T* losses, T* thetas,
                            std::uint8_t* lost, const Execution& execution) const {
  struct Parts {
    std::int32_t *loss, *theta;
    std::uint8_t* diverged;
  };
  const auto carve = [&](Arena& arena) {
    return Parts{arena.take<std::int32_t>(tasks_), arena.take<std::int32_t>(tasks_),
                 arena.take<std::uint8_t>(tasks_)};
  };
  Arena counting;
  carve(counting);
  const Workspace workspace = Workspace::checkout(counting.used());
  if (workspace.memory() == nullptr) return Status::out_of_memory;
  Arena arena(workspace.memory());
  const Parts first_bad = carve(arena);
  const Status status = trace<T>({.points = points,
                                  .n_points = n_points,
                                  .thetas = thetas,
                                  .query_losses = losses,
                                  .first_bad_loss = first_bad.loss,
                                  .first_bad_theta = first_bad.theta},
                                 first_bad.diverged, execution);
  if (status != Status::ok && status != Status::diverged) return status;
  bool any = false;
  for (Index task = 0; task < tasks_; ++task) {
    for (Index i = 0; i < n_points; ++i) {
      const T loss = losses[task * n_points + i];
      // A support loss decides whether what follows it still means something; saturated units may
      // hide parameters that are not finite from the query loss.
      const bool bad = !(loss - loss == T(0)) || points[i] > first_bad.loss[task] ||
                       points[i] >= first_bad.theta[task];
      lost[task * n_points + i] = bad ? 1 : 0;
      any = any || bad;
    }
  }
  return any ? Status::diverged : Status::ok;
}

template <class T>
Status Adaptation::diagnose(const Index* tasks, Index count, std::int32_t* first_bad,
                            T* last_finite, const Execution& execution) const {
  const bool own_theta = vectors_in(in_.theta) > 1;
  const Index n_params = in_.net->n_params();
  struct Parts {
    std::int32_t* flags;
    std::uint8_t* diverged;
    T* thetas;
  };
  const auto carve = [&](Arena& arena, Examples& rows) {
    rows = take_tasks(support_, tasks, count, arena);
    std::int32_t* const flags = arena.take<std::int32_t>(2 * count);
    std::uint8_t* const diverged = arena.take<std::uint8_t>(count);
    T* const thetas = own_theta ? arena.take<T>(count * n_params) : nullptr;
    return Parts{flags, diverged, thetas};
  };
  Examples rows;
  Arena counting;
  carve(counting, rows);
  const Workspace workspace = Workspace::checkout(counting.used());
  if (workspace.memory() == nullptr) return Status::out_of_memory;
  Arena arena(workspace.memory());
  const auto [flags, diverged, thetas] = carve(arena, rows);

  AdaptationArguments arguments = in_;
  Array theta = in_.theta.array();
  if (own_theta) {
    for (Index i = 0; i < count; ++i) {
      std::copy_n(theta.as<T>() + tasks[i] * n_params, n_params, thetas + i * n_params);
    }
    theta.data = thetas;
    theta.shape = {2, {count, n_params}};
  }
  arguments.theta.arrays = &theta;
  arguments.support = &rows;
  const Adaptation few = of_checked(arguments);
  const Status status = few.trace<T>(
      {.first_bad_loss = flags, .first_bad_theta = flags + count, .last_finite = last_finite},
      diverged, execution);
  for (Index i = 0; i < count; ++i) {
    const std::int32_t loss = flags[i], parameters = flags[count + i];
    first_bad[i] = std::min({loss, parameters, static_cast<std::int32_t>(in_.steps)});
  }
  return status == Status::diverged ? Status::ok : status;
}

#define FOMAML_FAST_INSTANTIATE(T)                                                                 \
  template Problem Adaptation::problem<T>() const;                                                 \
  template Status Adaptation::run(T*, std::uint8_t*, const Execution&) const;                      \
  template Status Adaptation::trace(const Trace<T>&, std::uint8_t*, const Execution&) const;       \
  template Status Adaptation::predict_query(T*, T*, std::uint8_t*, const Execution&) const;        \
  template Status Adaptation::trace_finite(Trace<T>, std::uint8_t*, const Execution&) const;       \
  template Status Adaptation::evaluate(const int*, Index, T*, T*, std::uint8_t*, const Execution&) \
      const;                                                                                       \
  template Status Adaptation::diagnose(const Index*, Index, std::int32_t*, T*, const Execution&)   \
      const;
FOMAML_FAST_INSTANTIATE(float)
FOMAML_FAST_INSTANTIATE(double)
#undef FOMAML_FAST_INSTANTIATE

}  // namespace FOMAML_FAST_NAMESPACE::api
