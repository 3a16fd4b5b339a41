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
  if (is_of_jets(in_.operation)) {
    if (!check_directions(in_.directions, *in_.net, in_.theta.dtype(), fault)) return false;
    jet_ = {in_.directions.array().shape[0], in_.order};
  }
  if (!measure_vectors(fault)) return false;
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

bool Evaluation::measure_vectors(Fault& fault) {
  const NetworkSpec& net = in_.net->spec;
  const auto fits = [&](const Argument& argument, bool wanted, Index columns, const char* like) {
    if (argument.given()) return measure_rows_of(argument, columns, like, fault);
    if (!wanted) return true;
    fault.name = argument.name;
    fault.reason = Reason::missing;
    return false;
  };
  const Index outputs = net.outputs() * jet_.streams();
  return fits(in_.cotangents, in_.wants_cotangents, outputs, "the outputs") &&
         fits(in_.cotangent_tangents, false, outputs, "the outputs") &&
         fits(in_.input_tangents, in_.wants_input_tangents, net.inputs(), "x");
}

bool Evaluation::measure_rows_of(const Argument& argument, Index columns, const char* like,
                                 Fault& fault) {
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
    fits = fits && array.shape.last() == columns;
    // A set for all tasks fits each of them; a list has one for each.
    const Index first = argument.listed ? i : 0, last = argument.listed ? i + 1 : tasks_;
    for (Index task = first; fits && task < last; ++task)
      fits = array.shape[axes - 2] == count(task);
    if (fits) continue;
    fault.wanted = {2, {count(first), columns}};
    fault.reason = Reason::rows_of_shape;
    fault.text = like;
    return false;
  }
  return true;
}

/// On top of each other, as outputs are; only `carve`d while the arena counts.
template <class T>
const T* Evaluation::read_rows_of(const Argument& argument, Index columns, Arena& arena) const {
  if (!argument.given()) return nullptr;
  const Index n = held(argument);
  if (!argument.listed && n == tasks_) return argument.array().as<T>();
  T* const all = arena.take<T>(out_rows_ * columns);
  if (arena.counting()) return all;
  T* next = all;
  for (Index task = 0; task < tasks_; ++task) {
    const Array& array = argument.arrays[argument.listed && n > 1 ? task : 0];
    next = std::copy_n(array.as<T>(), count(task) * columns, next);
  }
  return all;
}

template <class T>
void Evaluation::read_vectors(Arena& arena, const T*& cotangents, const T*& cotangent_tangents,
                              const T*& input_tangents) const {
  cotangents = cotangent_tangents = input_tangents = nullptr;
  if (!in_.wants_cotangents && !in_.wants_input_tangents) return;  // which most calls are
  const Index outputs = in_.net->spec.outputs() * jet_.streams();
  cotangents = read_rows_of<T>(in_.cotangents, outputs, arena);
  cotangent_tangents = read_rows_of<T>(in_.cotangent_tangents, outputs, arena);
  input_tangents = read_rows_of<T>(in_.input_tangents, in_.net->spec.inputs(), arena);
}

void Evaluation::carve(Arena& arena) const {
  visit_float(dtype(), [&]<class T>(T) {
    const T *cotangents, *cotangent_tangents, *input_tangents;
    read_vectors<T>(arena, cotangents, cotangent_tangents, input_tangents);
  });
}

std::size_t Evaluation::bytes() const {
  if (empty()) return 0;
  Arena arena;
  carve(arena);
  return arena.used() + (in_.examples == nullptr ? reader_.bytes() : 0);
}

bool Evaluation::read(std::byte* memory, Fault& fault) {
  if (in_.check_finite &&
      !(check_finite(in_.theta, false, fault) && check_finite(in_.directions, false, fault))) {
    return false;
  }
  if (empty()) return true;
  Arena arena(memory);
  visit_float(dtype(), [&]<class T>(T) {
    const T *cotangents, *cotangent_tangents, *input_tangents;
    read_vectors<T>(arena, cotangents, cotangent_tangents, input_tangents);
    cotangents_ = cotangents;
    cotangent_tangents_ = cotangent_tangents;
    input_tangents_ = input_tangents;
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
  problem.jet = jet_;
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
  call.input_tangents = static_cast<const T*>(input_tangents_);
  if (in_.directions.given()) call.directions = in_.directions.array().as<T>();
  call.outputs = results.outputs;
  call.losses = results.losses;
  call.task_vectors = results.vectors;
  return api::run(problem, call, execution);
}

template <class T>
bool Evaluation::check(const Results<T>& results, Fault& fault) const {
  if (!in_.check_finite || empty()) return true;
  const Index columns = output_columns(), n_params = in_.net->n_params();
  const bool tells = in_.operation == Operation::loss || in_.operation == Operation::gradient;
  const auto is_nan = [](T loss) { return std::isnan(loss); };  // infinity says so itself
  if ((!tells || std::none_of(results.losses, results.losses + tasks_, is_nan)) &&
      (results.outputs == nullptr || all_finite(results.outputs, out_rows_ * columns)) &&
      (results.vectors == nullptr || all_finite(results.vectors, tasks_ * n_params))) {
    return true;
  }
  // Vectors were not scanned before: most of them are what another call returned.
  for (const Argument* vectors :
       {&in_.tangent, &in_.cotangents, &in_.cotangent_tangents, &in_.input_tangents}) {
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
