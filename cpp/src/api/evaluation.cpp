#include "api/evaluation.hpp"

#include <algorithm>
#include <cmath>

#include "api/parameters.hpp"
#include "api/run.hpp"
#include "base/finite.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

Evaluation::Evaluation(const EvaluationArguments& arguments) : in_(arguments), reader_(in_.rows) {}

/// Every argument has a task for each of the others, or one for them all.
bool Evaluation::join(const char* name, Index tasks, Fault& fault) {
  if (tasks == 1 || tasks == tasks_) return true;
  if (tasks_ == 1) {
    tasks_ = tasks;
    return true;
  }
  fault.reason = Reason::task_broadcast;
  fault.text = "";
  fault.name = name;
  fault.count = tasks_;
  fault.got = tasks;
  return false;
}

bool Evaluation::measure(Fault& fault) {
  const Index n_params = in_.net->n_params();
  if (!check_parameters(in_.theta, {.n_params = n_params}, fault)) return false;
  single_ = in_.theta.array().shape.axes == 1;
  tasks_ = vectors_in(in_.theta);
  if (in_.examples != nullptr) {
    examples_ = *in_.examples;
    single_ = single_ && examples_.single;
    if (!join(examples_.x_name, examples_.tasks, fault)) return false;
  } else {
    in_.rows.dtype = in_.theta.dtype();
    in_.rows.inputs = in_.net->spec.inputs();
    in_.rows.check_finite = in_.check_finite;
    if (!reader_.measure(fault)) return false;
    single_ = single_ && reader_.single();
    const bool none = reader_.empty() && reader_.sets() == 0;
    if (!none && !join(in_.rows.x.name, reader_.tasks(), fault)) return false;
    if (none) tasks_ = 0;
  }
  if (in_.wants_tangent) {
    const ParameterRule rule{.n_params = n_params, .dtype = in_.theta.dtype()};
    if (!check_parameters(in_.tangent, rule, fault)) return false;
    single_ = single_ && in_.tangent.array().shape.axes == 1;
    if (!join(in_.tangent.name, vectors_in(in_.tangent), fault)) return false;
  }
  if (in_.wants_cotangents && !in_.cotangents.given()) {
    fault.name = in_.cotangents.name;
    fault.reason = Reason::missing;
    return false;
  }
  for (const Argument* argument : {&in_.cotangents, &in_.cotangent_tangents}) {
    if (!argument->given()) continue;
    if (!measure_outputs_like(*argument, fault)) return false;
  }
  if (empty()) return true;
  out_rows_ = 0;
  for (Index task = 0; task < tasks_; ++task) out_rows_ += count(task);
  return true;
}

Index Evaluation::held(const Argument& argument) const {
  if (argument.listed) return argument.count;
  return argument.array().shape.axes == 3 ? argument.array().shape[0] : 1;
}

Index Evaluation::count(Index task) const {
  if (in_.examples != nullptr) {
    const Index set = examples_.tasks == 1 || examples_.shared ? 0 : task;
    return examples_.offsets[set + 1] - examples_.offsets[set];
  }
  return reader_.count(reader_.sets() == 1 ? 0 : task);
}

/// Vectors on the outputs of every row: one set of them, or one a task.
bool Evaluation::measure_outputs_like(const Argument& argument, Fault& fault) {
  const Index outputs = in_.net->spec.outputs();
  const DType dtype = in_.theta.dtype();
  const char* const x_name = in_.examples == nullptr ? in_.rows.x.name : examples_.x_name;
  const bool ragged = in_.examples == nullptr ? reader_.ragged() : examples_.shape.ragged;
  fault.other = x_name;
  if (ragged && !argument.listed) {
    fault.reason = Reason::not_listed;
    fault.name = argument.name;
    fault.text = "one vector a row";
    return false;
  }
  if (argument.listed && tasks_ > 1 && argument.count != tasks_) {
    fault.reason = Reason::task_count;
    fault.name = argument.name;
    fault.count = tasks_;
    fault.got = argument.count;
    return false;
  }
  if (!join(argument.name, held(argument), fault)) return false;
  single_ = single_ && !argument.listed && argument.array().shape.axes == 2;
  for (Index i = 0; i < argument.count; ++i) {
    const Array& array = argument.arrays[i];
    fault.name = argument.name;
    fault.item = argument.listed ? i : -1;
    fault.dtype = array.dtype;
    fault.shape = array.shape;
    if (array.dtype != dtype) {
      fault.reason = is_float(array.dtype) ? Reason::dtype_differs : Reason::not_float;
      fault.other = in_.theta.name;
      fault.like = dtype;
      return false;
    }
    const int axes = array.shape.axes;
    bool fits = axes == 2 || (axes == 3 && !argument.listed);
    fits = fits && array.shape.last() == outputs;
    // A set for all tasks fits each of them; a list has one for each.
    const Index first = argument.listed ? i : 0, last = argument.listed ? i + 1 : tasks_;
    for (Index task = first; fits && task < last; ++task)
      fits = array.shape[axes - 2] == count(task);
    if (fits) continue;
    fault.wanted = {2, {count(first), outputs}};
    fault.reason = Reason::outputs_shape;
    return false;
  }
  return true;
}

/// On top of each other, as outputs are; only `carve`d while the arena counts.
template <class T>
const T* Evaluation::read_outputs_like(const Argument& argument, Arena& arena) const {
  if (!argument.given()) return nullptr;
  const Index n = held(argument);
  if (!argument.listed && n == tasks_) return argument.array().as<T>();
  const Index columns = in_.net->spec.outputs();
  T* const all = arena.take<T>(out_rows_ * columns);
  if (arena.counting()) return all;
  T* next = all;
  for (Index task = 0; task < tasks_; ++task) {
    const Array& array = argument.arrays[argument.listed && n > 1 ? task : 0];
    next = std::copy_n(array.as<T>(), count(task) * columns, next);
  }
  return all;
}

void Evaluation::carve(Arena& arena) const {
  visit_float(dtype(), [&]<class T>(T) {
    read_outputs_like<T>(in_.cotangents, arena);
    read_outputs_like<T>(in_.cotangent_tangents, arena);
  });
}

std::size_t Evaluation::bytes() const {
  if (empty()) return 0;
  Arena arena;
  carve(arena);
  return arena.used() + (in_.examples == nullptr ? reader_.bytes() : 0);
}

bool Evaluation::read(std::byte* memory, Fault& fault) {
  if (in_.check_finite && !check_finite(in_.theta, false, fault)) return false;
  if (empty()) return true;
  Arena arena(memory);
  visit_float(dtype(), [&]<class T>(T) {
    cotangents_ = read_outputs_like<T>(in_.cotangents, arena);
    cotangent_tangents_ = read_outputs_like<T>(in_.cotangent_tangents, arena);
  });
  if (in_.examples == nullptr && !reader_.read(memory + arena.used(), examples_, fault)) {
    return false;
  }
  if (!fits(examples_, *in_.net, nullptr, 0, fault)) return false;
  single_ = single_ && examples_.single;
  examples_ = examples_.for_tasks(tasks_);
  return true;
}

template <class T>
Status Evaluation::run(const Results<T>& results, const Execution& execution) const {
  Problem problem;  // an aggregate's braces would clear all of it first, which small calls feel
  problem.operation = in_.operation;
  problem.net = in_.net->spec;
  problem.layout = in_.net->layout;
  problem.tasks = tasks_;
  Call<T> call;
  problem.support = examples_.shape_with(loss_of(*in_.net, examples_));
  call.support = examples_.view<T>();
  call.theta = in_.theta.array().as<T>();
  problem.theta_per_task = vectors_in(in_.theta) > 1;
  call.theta_stride = problem.theta_per_task ? in_.net->n_params() : 0;
  if (in_.tangent.given()) {
    call.tangent = in_.tangent.array().as<T>();
    call.tangent_stride = vectors_in(in_.tangent) > 1 ? in_.net->n_params() : 0;
  }
  call.cotangents = static_cast<const T*>(cotangents_);
  call.cotangent_tangents = static_cast<const T*>(cotangent_tangents_);
  call.outputs = results.outputs;
  call.losses = results.losses;
  call.task_vectors = results.vectors;
  return api::run(problem, call, execution);
}

template <class T>
bool Evaluation::check(const Results<T>& results, Fault& fault) const {
  if (!in_.check_finite || empty()) return true;
  const Index outputs = in_.net->spec.outputs(), n_params = in_.net->n_params();
  const bool tells = in_.operation == Operation::loss || in_.operation == Operation::gradient;
  const auto is_nan = [](T loss) { return std::isnan(loss); };  // infinity says so itself
  if ((!tells || std::none_of(results.losses, results.losses + tasks_, is_nan)) &&
      (results.outputs == nullptr || all_finite(results.outputs, out_rows_ * outputs)) &&
      (results.vectors == nullptr || all_finite(results.vectors, tasks_ * n_params))) {
    return true;
  }
  // Vectors were not scanned before: most of them are what another call returned.
  for (const Argument* vectors : {&in_.tangent, &in_.cotangents, &in_.cotangent_tangents}) {
    if (vectors->given() && !check_finite(*vectors, false, fault)) return false;
  }
  fault.reason = Reason::overflowed;
  fault.name = "the result";
  fault.dtype = dtype();
  return false;
}

template bool Evaluation::check(const Results<float>&, Fault&) const;
template bool Evaluation::check(const Results<double>&, Fault&) const;
template Status Evaluation::run(const Results<float>&, const Execution&) const;
template Status Evaluation::run(const Results<double>&, const Execution&) const;

}  // namespace FOMAML_FAST_NAMESPACE::api
