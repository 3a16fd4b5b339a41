#include "engines/rows/evaluate.hpp"

#include "engines/rows/elementwise.hpp"
#include "kernels/compensated.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

namespace {

// Stretches whose results are added one after another.
constexpr Index kRunStretches = 8;

// From this many weights on, moving a layer into panels costs more than its strided rows.
constexpr Index kLargeLayer = 16 * 1024;

/// The task's tangent: the user's memory, and packed copies of smaller layers.
template <class T>
LayerViews<const T> tangent_views(const Shapes<T>& shapes, const T* tangent,
                                  const Weights<T>& packed) {
  const LayerViews<const T> views{packed.values, tangent, kLargeLayer};
  for (int l = 0; l < shapes.depth; ++l) {
    const Layer& layer = shapes[l];
    pack_rows(layer, tangent, packed);
    if (views.in_place(layer)) continue;
    for (Index i = 0; i < panel_count(layer.out_vectors); ++i) {
      copy_to_panel(tangent + layer.flat.weight, layer.fan_in, layer.fan_out, i,
                    packed.weight(layer).data);
    }
  }
  return views;
}

/// Brings home what was left in packed parameters.
template <class T>
void unpack_rest(const Shapes<T>& shapes, const LayerViews<T>& views) {
  const Weights<T> packed{views.packed, nullptr};
  for (Index i = 0; i < shapes.panels; ++i) {
    const PanelOf place = locate_panel(shapes, i);
    const Layer& layer = shapes[place.layer];
    if (!views.in_place(layer)) {
      unpack_panel(shapes, packed, place, views.flat);
    } else if (place.panel == 0) {
      unpack_rows(layer, packed, views.flat);
    }
  }
}

template <class T>
RowRange<T> stretch_of(const Frame<T>& frame, Index task, Index first) {
  const RowSet<T>& set = frame.call.support;
  return {set.x + (set.first(task) + first) * frame.problem.net.inputs(),
          std::min(kStretch, set.count(task) - first)};
}

Keep kept(Operation operation) {
  switch (operation) {
    case Operation::gradient:
    case Operation::vjp:
      return Keep::deltas;
    case Operation::hvp:
    case Operation::jvp:
    case Operation::vjp_tangent:
    case Operation::gnvp:
      return Keep::second_order;
    default:
      return Keep::outputs;
  }
}

/// Where the outputs of row `first` of a task, or their cotangents, stand among those of all.
template <class T>
Index place_of(const Frame<T>& frame, Index task, Index first) {
  const RowSet<T>& set = frame.call.support;
  return ((set.shared ? task * set.count(task) : set.first(task)) + first) * frame.shapes.outputs;
}

/// The last layer's [rows, out_stride] buffer, brought home.
template <class T>
void write_outputs(const Frame<T>& frame, const T* buffer, Index task, Index first, Index count) {
  T* outputs = frame.call.outputs + place_of(frame, task, first);
  for (Index r = 0; r < count; ++r) {
    std::copy_n(buffer + r * frame.shapes.last().out_stride, frame.shapes.outputs,
                outputs + r * frame.shapes.outputs);
  }
}

}  // namespace

template <class T>
Evaluate<T>::CallBuffers::CallBuffers(const Problem& problem, const Shapes<T>& shapes,
                                      Arena& arena) {
  if (!problem.theta_per_task) theta = Weights<T>::carve(shapes, arena);
  stretches = std::max<Index>(1, (problem.support.longest + kStretch - 1) / kStretch);
  if (problem.operation == Operation::loss) {
    stretch_losses = arena.take<T>(problem.tasks * stretches);
  }
}

template <class T>
Evaluate<T>::Worker::Worker(const Problem& problem, const Shapes<T>& shapes,
                            const CallBuffers& /*shared*/, Arena& arena) {
  const Index rows = std::min(kStretch, problem.support.longest);
  if (problem.theta_per_task) theta = Weights<T>::carve(shapes, arena);
  pass = Pass<T>::carve(shapes, rows, kept(problem.operation), arena);
  targets = TargetPacks<T>::carve(problem.support, rows, shapes.outputs, arena);
  loss = LossScratch<T>::carve(shapes.outputs, arena);
  const Keep keep = kept(problem.operation);
  if (keep != Keep::outputs && problem.operation != Operation::jvp) {
    result.values = arena.take<T>(shapes.packed_parameters);
    if (problem.support.longest > kRunStretches * kStretch) {
      sum = arena.take<T>(shapes.packed_parameters);
      error = arena.take<T>(shapes.packed_parameters);
    }
  }
  if (keep == Keep::second_order) {
    vector.values = arena.take<T>(shapes.packed_parameters);
    curvature = CurvatureScratch<T>::carve(shapes, rows, arena);
  }
}

template <class T>
Weights<T> Evaluate<T>::theta_of(const Frame<T>& frame, const CallBuffers& shared,
                                 const Worker& worker, Index task) {
  if (!frame.problem.theta_per_task) return shared.theta;
  pack(frame.shapes, frame.call.theta + task * frame.call.theta_stride, worker.theta);
  return worker.theta;
}

template <class T>
Targeted<T> Evaluate<T>::targets_of(const Frame<T>& frame, const Worker& worker, Index task,
                                    Index first, Index count) {
  if (frame.call.cotangents != nullptr) {  // they stand in for the loss: targets may be anything
    return {.outputs = frame.shapes.outputs, .count = count};
  }
  return worker.targets.gather(frame.problem.support, frame.call.support, task, first, count);
}

template <class T>
void Evaluate<T>::predict(const Frame<T>& frame, const Weights<T>& theta, const Worker& worker,
                          Index task, Index stretch) {
  const Shapes<T>& shapes = frame.shapes;
  const Index first = stretch * kStretch;
  const RowRange<T> rows = stretch_of(frame, task, first);
  forward(shapes, theta, rows, worker.pass);
  write_outputs<T>(frame, worker.pass.h(shapes.depth - 1), task, first, rows.count);
}

template <class T>
T Evaluate<T>::loss_of(const Frame<T>& frame, const Weights<T>& theta, const Worker& worker,
                       Index task, Index stretch) {
  const Shapes<T>& shapes = frame.shapes;
  const Index first = stretch * kStretch;
  const RowRange<T> rows = stretch_of(frame, task, first);
  forward(shapes, theta, rows, worker.pass);
  return loss<T>(targets_of(frame, worker, task, first, rows.count),
                 worker.pass.h(shapes.depth - 1), shapes.last().out_stride, worker.loss, nullptr);
}

/// predict and loss: every stretch is work of its own where theta is shared.
template <class T>
void Evaluate<T>::predict_or_loss(const Frame<T>& frame, const CallBuffers& shared,
                                  const Worker& worker, Team& team) {
  const bool predicts = frame.problem.operation == Operation::predict;
  const Index apart = frame.problem.theta_per_task ? 1 : shared.stretches;
  team.share(frame.problem.tasks * apart, [&](Index unit) {
    const Index task = unit / apart;
    const Index stretches = (frame.call.support.count(task) + kStretch - 1) / kStretch;
    const Index first = apart == 1 ? 0 : unit % apart;
    const Index last = apart == 1 ? stretches : std::min(first + 1, stretches);
    if (first >= last) return;
    const Weights<T> theta = theta_of(frame, shared, worker, task);
    const Index work = frame.problem.gradient_work(kStretch);
    Watch& watch = Watch::of_thread();
    for (Index stretch = first; stretch < last && !watch.stopped(work); ++stretch) {
      if (predicts) {
        predict(frame, theta, worker, task, stretch);
      } else {
        shared.stretch_losses[task * shared.stretches + stretch] =
            loss_of(frame, theta, worker, task, stretch);
      }
    }
  });
  if (predicts) return;
  team.barrier();
  team.share(frame.problem.tasks, [&](Index task) {
    const Index stretches = (frame.call.support.count(task) + kStretch - 1) / kStretch;
    CompensatedSum<T> total;
    for (Index s = 0; s < stretches; ++s) {
      total.add(shared.stretch_losses[task * shared.stretches + s]);
    }
    frame.call.losses[task] = total.value();
  });
}

/// jvp.
template <class T>
void Evaluate<T>::jvp(const Frame<T>& frame, const CallBuffers& shared, const Worker& worker,
                      Index task) {
  const Shapes<T>& shapes = frame.shapes;
  const Weights<T> theta = theta_of(frame, shared, worker, task);
  const LayerViews<const T> tangent =
      tangent_views(shapes, frame.call.tangent + task * frame.call.tangent_stride, worker.vector);
  const Index work = frame.problem.gradient_work(kStretch);
  Watch& watch = Watch::of_thread();
  for (Index first = 0; first < frame.call.support.count(task); first += kStretch) {
    if (watch.stopped(work)) return;
    const RowRange<T> rows = stretch_of(frame, task, first);
    forward(shapes, theta, rows, worker.pass);
    push_forward<T>({shapes,
                     theta,
                     rows,
                     {},
                     worker.pass,
                     worker.curvature,
                     worker.loss,
                     tangent,
                     nullptr,
                     nullptr,
                     {}});
    write_outputs<T>(frame, worker.pass.rh(shapes.depth - 1, rows.count), task, first, rows.count);
  }
}

/// The gradient on the outputs of some rows, after forward: the loss's, or the cotangents given.
/// Returns the loss, if it is looked at.
template <class T>
T Evaluate<T>::output_gradient(const Frame<T>& frame, const Worker& worker,
                               const Targeted<T>& targets, Index task, Index first) {
  const Shapes<T>& shapes = frame.shapes;
  const int last = shapes.depth - 1;
  T* delta = worker.pass.d(last, targets.count);
  if (frame.call.cotangents != nullptr) {
    copy_outputs<T>(shapes, frame.call.cotangents + place_of(frame, task, first), targets.count,
                    delta);
    return T(0);
  }
  return loss<T>(targets, worker.pass.h(last), shapes.last().out_stride, worker.loss, delta);
}

template <class T>
void Evaluate<T>::differentiate(const Frame<T>& frame, const CallBuffers& shared,
                                const Worker& worker, Index task) {
  const Shapes<T>& shapes = frame.shapes;
  const int last = shapes.depth - 1;
  const Operation operation = frame.problem.operation;
  const bool curvature = operation == Operation::hvp || operation == Operation::vjp_tangent;
  const Weights<T> theta = theta_of(frame, shared, worker, task);
  T* result = frame.call.task_vectors + task * shapes.parameters;
  const Index count = frame.call.support.count(task);
  const bool many = count > kRunStretches * kStretch;
  const LayerViews<T> to{worker.result.values, many ? nullptr : result};
  const LayerViews<const T> so_far = to;
  if (many) {
    std::fill_n(worker.sum, shapes.packed_parameters, T(0));
    std::fill_n(worker.error, shapes.packed_parameters, T(0));
  }
  LayerViews<const T> tangent;
  if (curvature || operation == Operation::gnvp) {
    tangent =
        tangent_views(shapes, frame.call.tangent + task * frame.call.tangent_stride, worker.vector);
  }
  const auto add_run = [&] {
    accumulate(worker.result.values, shapes.packed_parameters, T(1), worker.sum, worker.error);
  };
  CompensatedSum<T> total;
  const Index work = 2 * frame.problem.gradient_work(kStretch);
  Watch& watch = Watch::of_thread();
  for (Index first = 0; first < count; first += kStretch) {
    if (watch.stopped(work)) return;
    const bool starts = first % (kRunStretches * kStretch) == 0;
    if (starts && first > 0) add_run();
    const RowRange<T> rows = stretch_of(frame, task, first);
    const Targeted<T> targets = targets_of(frame, worker, task, first, rows.count);
    forward(shapes, theta, rows, worker.pass);
    total.add(output_gradient(frame, worker, targets, task, first));
    HessianProduct<T> product{shapes,      theta,
                              rows,        targets,
                              worker.pass, worker.curvature,
                              worker.loss, tangent,
                              nullptr,     starts ? nullptr : &so_far,
                              to};
    if (operation == Operation::gnvp) {  // the curvature on the outputs, pulled back as a gradient
      push_forward(product);
      loss_curvature<T>(targets, worker.pass.h(last), worker.pass.rh(last, rows.count),
                        shapes.last().out_stride, worker.loss, worker.pass.d(last, rows.count));
    }
    backward(shapes, theta, rows, worker.pass);
    if (curvature) {
      if (frame.call.cotangent_tangents != nullptr) {
        product.output_tangents = frame.call.cotangent_tangents + place_of(frame, task, first);
      }
      hessian_product<T>(product);
      continue;
    }
    for (int l = 0; l < shapes.depth; ++l) {
      weight_gradient<T>(shapes, l, rows, worker.pass,
                         starts ? zeros<T>() : so_far.weight(shapes[l]), to.weight(shapes[l]));
      if (starts) std::fill_n(to.bias(shapes[l]), shapes[l].row_parameters(), T(0));
      add_row_gradients(shapes, l, rows.count, worker.pass, to.bias(shapes[l]), to.gain(shapes[l]),
                        to.shift(shapes[l]));
    }
  }
  if (many) {
    add_run();
    unpack(shapes, {worker.sum, nullptr}, result);
  } else {
    unpack_rest(shapes, to);
  }
  if (operation == Operation::gradient) frame.call.losses[task] = total.value();
}

template <class T>
void Evaluate<T>::run(const Frame<T>& frame, const CallBuffers& shared, Worker& worker,
                      Team& team) {
  if (!frame.problem.theta_per_task) {
    pack_shared(frame.shapes, frame.call.theta, shared.theta, team);
  }
  switch (frame.problem.operation) {
    case Operation::predict:
    case Operation::loss:
      predict_or_loss(frame, shared, worker, team);
      return;
    case Operation::jvp:
      team.share(frame.problem.tasks, [&](Index task) { jvp(frame, shared, worker, task); });
      return;
    default:
      team.share(frame.problem.tasks,
                 [&](Index task) { differentiate(frame, shared, worker, task); });
  }
}

template class Evaluate<float>;
template class Evaluate<double>;

}  // namespace FOMAML_FAST_NAMESPACE::rows
