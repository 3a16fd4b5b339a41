#include "engines/rows/evaluate.hpp"

#include "engines/rows/elementwise.hpp"
#include "kernels/compensated.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

namespace {

// From this many weights on, moving a layer into panels costs more than its strided rows.
constexpr Index kLargeLayer = 16 * 1024;

/// Whether a layer of the user's vectors can be the operand itself: whole vectors in every row.
template <class T>
bool in_place(const Layer& layer) {
  return layer.fan_out % kLanes<T> == 0;
}

/// The task's tangent, layer by layer: the user's memory or a packed copy.
template <class T>
LayerViews<const T> tangent_views(const Plan<T>& plan, const T* tangent, const Weights<T>& packed) {
  LayerViews<const T> views = readable(views_of(plan, packed));
  for (int l = 0; l < plan.depth; ++l) {
    const Layer& layer = plan[l];
    pack_bias(layer, tangent, packed.bias(layer));
    if (in_place<T>(layer) && layer.fan_in * layer.fan_out >= kLargeLayer) {
      views.weights[NetworkSpec::at(l)] = row_major(tangent + layer.flat_weight, layer.fan_out);
      continue;
    }
    for (Index i = 0; i < panel_count(layer.out_vectors); ++i) {
      copy_to_panel(tangent + layer.flat_weight, layer.fan_in, layer.fan_out, i,
                    packed.weight(layer).data);
    }
  }
  return views;
}

/// Where a result is written, layer by layer.
template <class T>
LayerViews<T> result_views(const Plan<T>& plan, T* result, const Weights<T>& packed) {
  LayerViews<T> views = views_of(plan, packed);
  for (int l = 0; l < plan.depth; ++l) {
    const Layer& layer = plan[l];
    if (!in_place<T>(layer)) continue;
    views.weights[NetworkSpec::at(l)] = row_major(result + layer.flat_weight, layer.fan_out);
  }
  return views;
}

/// Brings home what result_views left in packed parameters.
template <class T>
void unpack_rest(const Plan<T>& plan, const Weights<T>& packed, T* result) {
  for (Index i = 0; i < plan.panels; ++i) {
    const PanelOf place = locate_panel(plan, i);
    const Layer& layer = plan[place.layer];
    if (in_place<T>(layer)) {
      if (place.panel == 0)
        std::copy_n(packed.bias(layer), layer.fan_out, result + layer.flat_bias);
    } else {
      unpack_panel(plan, packed, place, result);
    }
  }
}

template <class T>
Rows<T> stretch_of(const Frame<T>& frame, Index task, Index first) {
  const RowSet<T>& set = frame.call.support;
  return {set.x + (set.first(task) + first) * frame.problem.net.inputs(),
          std::min(kStretch, set.count(task) - first)};
}

template <class T>
Targeted<T> targets_of(const Frame<T>& frame, Index task, Index first, Index count) {
  return Targeted<T>::of(frame.problem.support, frame.call.support, task, first, count,
                         frame.plan.outputs);
}

Keep kept(Operation operation) {
  switch (operation) {
    case Operation::gradient:
      return Keep::deltas;
    case Operation::hvp:
      return Keep::second_order;
    default:
      return Keep::outputs;
  }
}

}  // namespace

template <class T>
Evaluate<T>::Shared::Shared(const Problem& problem, const Plan<T>& plan, Arena& arena) {
  if (!problem.theta_per_task) theta = Weights<T>::carve(plan, arena);
  stretches = std::max<Index>(1, (problem.support.longest + kStretch - 1) / kStretch);
  if (problem.operation == Operation::loss) {
    stretch_losses = arena.take<T>(problem.tasks * stretches);
  }
}

template <class T>
Evaluate<T>::Worker::Worker(const Problem& problem, const Plan<T>& plan, const Shared& /*shared*/,
                            Arena& arena) {
  const Index rows = std::min(kStretch, problem.support.longest);
  if (problem.theta_per_task) theta = Weights<T>::carve(plan, arena);
  pass = Pass<T>::carve(plan, rows, kept(problem.operation), arena);
  loss = LossScratch<T>::carve(plan.outputs, arena);
  if (problem.operation == Operation::gradient || problem.operation == Operation::hvp) {
    result.values = arena.take<T>(plan.packed_parameters);
  }
  if (problem.operation == Operation::hvp) {
    vector.values = arena.take<T>(plan.packed_parameters);
    curvature = CurvatureScratch<T>::carve(plan, rows, arena);
  }
}

template <class T>
Weights<T> Evaluate<T>::theta_of(const Frame<T>& frame, const Shared& shared, const Worker& worker,
                                 Index task) {
  if (!frame.problem.theta_per_task) return shared.theta;
  pack(frame.plan, frame.call.theta + task * frame.call.theta_stride, worker.theta);
  return worker.theta;
}

template <class T>
void Evaluate<T>::predict(const Frame<T>& frame, const Weights<T>& theta, const Worker& worker,
                          Index task, Index stretch) {
  const Plan<T>& plan = frame.plan;
  const RowSet<T>& set = frame.call.support;
  const Index first = stretch * kStretch;
  const Rows<T> rows = stretch_of(frame, task, first);
  forward(plan, theta, rows, worker.pass);
  const T* h = worker.pass.h(plan.depth - 1);
  const Index place = (set.shared ? task * set.count(task) : set.first(task)) + first;
  T* outputs = frame.call.outputs + place * plan.outputs;
  for (Index r = 0; r < rows.count; ++r) {
    std::copy_n(h + r * plan.last().out_stride, plan.outputs, outputs + r * plan.outputs);
  }
}

template <class T>
T Evaluate<T>::loss_of(const Frame<T>& frame, const Weights<T>& theta, const Worker& worker,
                       Index task, Index stretch) {
  const Plan<T>& plan = frame.plan;
  const Index first = stretch * kStretch;
  const Rows<T> rows = stretch_of(frame, task, first);
  forward(plan, theta, rows, worker.pass);
  return loss<T>(targets_of(frame, task, first, rows.count), worker.pass.h(plan.depth - 1),
                 plan.last().out_stride, worker.loss, nullptr);
}

/// predict and loss: every stretch is work of its own where theta is shared.
template <class T>
void Evaluate<T>::look(const Frame<T>& frame, const Shared& shared, const Worker& worker,
                       Team& team) {
  const bool predicts = frame.problem.operation == Operation::predict;
  const Index apart = frame.problem.theta_per_task ? 1 : shared.stretches;
  team.share(frame.problem.tasks * apart, [&](Index unit) {
    const Index task = unit / apart;
    const Index stretches = (frame.call.support.count(task) + kStretch - 1) / kStretch;
    const Index first = apart == 1 ? 0 : unit % apart;
    const Index last = apart == 1 ? stretches : std::min(first + 1, stretches);
    if (first >= last) return;
    const Weights<T> theta = theta_of(frame, shared, worker, task);
    for (Index stretch = first; stretch < last; ++stretch) {
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

template <class T>
void Evaluate<T>::differentiate(const Frame<T>& frame, const Shared& shared, const Worker& worker,
                                Index task) {
  const Plan<T>& plan = frame.plan;
  const int last = plan.depth - 1;
  const bool curvature = frame.problem.operation == Operation::hvp;
  const Weights<T> theta = theta_of(frame, shared, worker, task);
  T* result = frame.call.task_vectors + task * plan.parameters;
  const LayerViews<T> to = result_views(plan, result, worker.result);
  const LayerViews<const T> so_far = readable(to);
  LayerViews<const T> tangent;
  if (curvature) {
    tangent =
        tangent_views(plan, frame.call.tangent + task * frame.call.tangent_stride, worker.vector);
  }
  CompensatedSum<T> total;
  for (Index first = 0; first < frame.call.support.count(task); first += kStretch) {
    const Rows<T> rows = stretch_of(frame, task, first);
    const Targeted<T> targets = targets_of(frame, task, first, rows.count);
    forward(plan, theta, rows, worker.pass);
    total.add(loss<T>(targets, worker.pass.h(last), plan.last().out_stride, worker.loss,
                      worker.pass.d(plan, last, rows.count)));
    backward(plan, theta, rows, worker.pass);
    if (curvature) {
      hessian_product<T>({plan, theta, rows, targets, worker.pass, worker.curvature, worker.loss,
                          tangent, nullptr, first == 0 ? nullptr : &so_far, to});
      continue;
    }
    for (int l = 0; l < plan.depth; ++l) {
      weight_gradient<T>(plan, l, rows, worker.pass, first == 0 ? zeros<T>() : to.weight(l),
                         to.weight(l));
      if (first == 0) std::fill_n(to.bias(l), plan[l].out_stride, T(0));
      add_rows<T>(worker.pass.d(plan, l, rows.count), rows.count, plan[l].out_stride, to.bias(l),
                  to.bias(l));
    }
  }
  unpack_rest(plan, worker.result, result);
  if (!curvature) frame.call.losses[task] = total.value();
}

template <class T>
void Evaluate<T>::run(const Frame<T>& frame, const Shared& shared, Worker& worker, Team& team) {
  if (!frame.problem.theta_per_task) {
    pack_shared(frame.plan, frame.call.theta, shared.theta, team);
  }
  switch (frame.problem.operation) {
    case Operation::predict:
    case Operation::loss:
      look(frame, shared, worker, team);
      return;
    default:
      team.share(frame.problem.tasks,
                 [&](Index task) { differentiate(frame, shared, worker, task); });
  }
}

template class Evaluate<float>;
template class Evaluate<double>;

}  // namespace FOMAML_FAST_NAMESPACE::rows
