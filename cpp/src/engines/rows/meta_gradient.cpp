#include "engines/rows/meta_gradient.hpp"

#include "engines/rows/products.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

namespace {

// Activations and deltas of the rows that are differentiated together stay in the second-level
// cache.
constexpr Index kGroupBytes = 256 * 1024;

/// Query rows of a group: at least one task's, and no more than there are.
template <class T>
Index rows_together(const Problem& problem, const Shapes<T>& shapes) {
  const Index row_bytes = 2 * shapes.widths * static_cast<Index>(sizeof(T));
  const Index fit = std::min(problem.query.total, kGroupBytes / row_bytes);
  return std::max(problem.query.longest, fit);
}

/// to = start + the gradient of layers `first_layer` and above over these rows, after backward.
template <class T>
void add_gradient(const Shapes<T>& shapes, const RowRange<T>& rows, const Pass<T>& pass,
                  bool from_zero, const Weights<T>& to, int first_layer = 0) {
  for (int l = first_layer; l < shapes.depth; ++l) {
    layer_gradient(shapes, l, rows, pass, from_zero, to);
  }
}

}  // namespace

template <class T>
MetaGradient<T>::CallBuffers::CallBuffers(const Problem& problem, const Shapes<T>& shapes,
                                          Arena& arena)
    : exact(problem.takes_hessians()),
      apart(exact || problem.wants_task_gradients),
      deferred(problem, shapes, arena) {
  group_rows = apart ? problem.query.longest : rows_together(problem, shapes);
  if (!problem.theta_per_task) theta = Weights<T>::carve(shapes, arena);
  Index summed = 0;
  if (!deferred.all_layers()) {
    summed = deferred.any() ? shapes[0].weight : shapes.packed_parameters;  // W_0 comes last
  }
  sums = PartialSums<T>::carve(problem, problem.tasks, summed, 0, arena,
                               problem.has_long_partial_sums(problem.tasks));
}

template <class T>
MetaGradient<T>::Worker::Worker(const Problem& problem, const Shapes<T>& shapes,
                                const CallBuffers& shared, Arena& arena)
    : adaptation(problem, shapes, shared.exact, arena),
      query(shared.deferred.all_layers()
                ? Pass<T>{}
                : Pass<T>::carve(shapes, shared.group_rows, Keep::deltas, arena)),
      query_targets(
          TargetPacks<T>::carve(problem.query, problem.query.longest, shapes.outputs, arena)),
      curvature(shared.exact ? CurvatureScratch<T>::carve(shapes, problem.support.longest, arena)
                             : CurvatureScratch<T>{}) {
  if (shared.apart || shared.sums.has_errors) {
    gradient.values = arena.take<T>(shared.sums.size);
  }
}

/// theta_S, then the query rows through it, forward and back. False if something is not finite.
template <class T>
bool MetaGradient<T>::Block::adapt_and_query(Index task, const Pass<T>& pass) {
  const Shapes<T>& shapes = frame.shapes;
  Adaptation<T>& adaptation = worker.adaptation;
  bool finite = adaptation.run(frame.problem, frame.call, shapes, shared.theta, task, true);
  const Weights<T> theta = adaptation.theta(shapes, frame.problem.algorithm.steps);
  const RowRange<T> rows = RowRange<T>::of(frame.call.query, task, frame.problem.net.inputs());
  if (shapes.dual) adaptation.dual().forward_query(shapes, rows, pass);
  forward(shapes, theta, rows, pass, shapes.dual ? 1 : 0);
  const Targeted<T> targets =
      worker.query_targets.gather(frame.problem.query, frame.call.query, task, 0, rows.count);
  const T value = loss<T>(targets, pass.h(shapes.depth - 1), shapes.last().out_stride,
                          adaptation.loss_scratch(), pass.d(shapes.depth - 1, rows.count));
  backward(shapes, theta, rows, pass);
  frame.call.losses[task] = value;
  // What is not finite in a later delta reaches the first one.
  finite = finite && is_finite(pass.d(0, rows.count), rows.count * shapes[0].out_stride);
  return finite && value - value == T(0);
}

/// First order, everything deferred.
template <class T>
void MetaGradient<T>::Block::leave_rows() {
  for (Index task = first; task < last && !team.stopped(); ++task) {
    flag(task, adapt_and_query(task, shared.deferred.query_pass(frame, round, task)));
  }
}

/// First order: groups of tasks whose query rows fit, one product per group.
template <class T>
void MetaGradient<T>::Block::in_groups() {
  const RowSet<T>& set = frame.call.query;
  for (Index task = first; task < last && !team.stopped();) {
    const Index group = task;
    Index filled = 0;
    // Rows of neighbouring tasks are neighbours in memory, unless all tasks share theirs.
    do {
      flag(task, adapt_and_query(task, worker.query.from_row(filled)));
      filled += set.count(task);
      ++task;
    } while (task < last && !set.shared && filled + set.count(task) <= shared.group_rows);
    const RowRange<T> rows{set.x + set.first(group) * frame.problem.net.inputs(), filled};
    if (error == nullptr) {
      add_gradient(frame.shapes, rows, worker.query, group == first, Weights<T>{partial, nullptr});
    } else {
      add_gradient(frame.shapes, rows, worker.query, true, worker.gradient);
      add_to_partial(group == first);
    }
  }
}

/// partial (+)= worker.gradient.
template <class T>
void MetaGradient<T>::Block::add_to_partial(bool from_zero) {
  if (from_zero) {
    std::copy_n(worker.gradient.values, shared.sums.size, partial);
    if (error != nullptr) std::fill_n(error, shared.sums.size, T(0));
  } else if (error != nullptr) {
    accumulate(worker.gradient.values, shared.sums.size, T(1), partial, error);
  } else {
    accumulate(worker.gradient.values, shared.sums.size, partial);
  }
}

/// lambda_k = lambda_{k+1} - H_k (rates . lambda_{k+1}), from the query gradient down to theta_0.
template <class T>
void MetaGradient<T>::Block::through_steps(Index task) {
  const Shapes<T>& shapes = frame.shapes;
  Adaptation<T>& adaptation = worker.adaptation;
  const LayerViews<T> next{worker.gradient.values};
  const LayerViews<const T> lambda = next;
  const Problem& problem = frame.problem;
  RowRange<T> rows = RowRange<T>::of(frame.call.support, task, problem.net.inputs());
  const RowRange<T> query = RowRange<T>::of(frame.call.query, task, problem.net.inputs());
  if (shapes.dual) adaptation.dual().begin_reverse(shapes, worker.query.d(0, query.count));
  const Index work = 2 * problem.gradient_work(rows.count);
  Watch& watch = Watch::of_thread();
  for (int k = problem.algorithm.steps - 1; k >= 0 && !watch.stopped(work); --k) {
    if (problem.support.stepped) rows = adaptation.support(problem, frame.call, task, k);
    const Weights<T> theta = adaptation.theta(shapes, k);
    const Pass<T> pass = adaptation.pass(k);
    const StepScale<T> scale = frame.call.step_scale(k, shapes.depth);
    HessianProduct<T> product{shapes,
                              theta,
                              rows,
                              adaptation.targets(),
                              pass,
                              worker.curvature,
                              adaptation.loss_scratch(),
                              lambda,
                              scale.rates,
                              &lambda,
                              next};
    if (shapes.dual) product.dual = &adaptation.dual();
    product.delta_scale = scale.deltas;
    hessian_product(product);
  }
}

/// Layer 0 of a task where it is dual: left for later, or X_q' D_q + X_s' R at once.
template <class T>
void MetaGradient<T>::Block::dual_gradient(Index task) {
  const Shapes<T>& shapes = frame.shapes;
  const Layer& layer = shapes[0];
  const RowRange<T> support = RowRange<T>::of(frame.call.support, task, layer.fan_in);
  const RowRange<T> query = RowRange<T>::of(frame.call.query, task, layer.fan_in);
  const T* deltas = worker.query.d(0, query.count);
  const T* sums = worker.adaptation.dual().reverse_sum();
  if (shared.deferred.any()) {
    std::copy_n(deltas, query.count * layer.out_stride,
                shared.deferred.query_deltas(frame, round, task));
    std::copy_n(sums, support.count * layer.out_stride,
                shared.deferred.support_sums(frame, round, task));
    return;
  }
  const Columns<T> weight = worker.gradient.weight(layer);
  T* bias = worker.gradient.bias(layer);
  weight_gradient<T>(shapes, 0, query, worker.query, zeros<T>(), weight);
  multiply_add_rows<T>({layer.fan_in,
                        layer.out_vectors,
                        support.count,
                        {support.x, 1, layer.fan_in},
                        row_major(sums, layer.out_stride),
                        weight,
                        weight},
                       worker.adaptation.pass(0).sums());
  std::fill_n(bias, layer.out_stride, T(0));
  add_rows<T>(deltas, query.count, layer.out_stride, bias, bias);
  add_rows<T>(sums, support.count, layer.out_stride, bias, bias);
}

/// worker.gradient = the task's meta-gradient.
template <class T>
void MetaGradient<T>::Block::task_gradient(Index task) {
  const RowRange<T> rows = RowRange<T>::of(frame.call.query, task, frame.problem.net.inputs());
  const bool dual = shared.exact && frame.shapes.dual;
  add_gradient(frame.shapes, rows, worker.query, true, worker.gradient, dual ? 1 : 0);
  if (shared.exact) through_steps(task);
  if (dual) dual_gradient(task);
}

/// Every task's gradient apart: exact, or asked for.
template <class T>
void MetaGradient<T>::Block::one_by_one() {
  const Shapes<T>& shapes = frame.shapes;
  for (Index task = first; task < last && !team.stopped(); ++task) {
    bool finite = adapt_and_query(task, worker.query);
    if (shared.deferred.any())
      std::fill_n(worker.gradient.bias(shapes[0]), shapes[0].out_stride, T(0));
    task_gradient(task);
    finite = finite && is_finite(worker.gradient.values, shared.sums.size);
    if (shapes.dual && shared.exact)
      finite = finite && worker.adaptation.dual().reverse_finite(shapes);
    flag(task, finite);
    if (frame.call.task_vectors != nullptr) {
      unpack(shapes, worker.gradient, frame.call.task_vectors + task * shapes.parameters);
    }
    add_to_partial(task == first && round.first == 0);
  }
}

/// grad = grad_scale * the sum of the partial sums, in their order, of layers that are not
/// deferred.
template <class T>
void MetaGradient<T>::reduce(const Frame<T>& frame, const CallBuffers& shared, Team& team) {
  const Shapes<T>& shapes = frame.shapes;
  const Weights<T> total{shared.sums.reduce_in_place(team, frame.call.grad_scale), nullptr};
  team.share(shapes.panels, [&](Index i) {
    const PanelOf place = locate_panel(shapes, i);
    if (place.layer == 0 && shared.deferred.any()) return;
    unpack_panel(shapes, total, place, frame.call.grad);
  });
}

template <class T>
void MetaGradient<T>::run(const Frame<T>& frame, const CallBuffers& shared, Worker& worker,
                          Team& team) {
  const Shapes<T>& shapes = frame.shapes;
  const Deferred<T>& deferred = shared.deferred;
  if (!frame.problem.theta_per_task) {
    pack_shared(shapes, frame.call.theta, shared.theta, team);
  }
  for (Index task = 0; task < frame.problem.tasks;) {
    const Round round = deferred.round_from(frame, task);
    const Index tasks = round.last - round.first;
    team.share(shared.sums.blocks, [&](Index i) {
      Block block{frame,
                  shared,
                  worker,
                  team,
                  round,
                  round.first + tasks * i / shared.sums.blocks,
                  round.first + tasks * (i + 1) / shared.sums.blocks,
                  shared.sums.of_block(i),
                  shared.sums.errors_of(i)};
      if (block.first == block.last && round.first == 0) {
        shared.sums.clear(i);
      }
      if (deferred.all_layers()) {
        block.leave_rows();
      } else if (shared.apart) {
        block.one_by_one();
      } else {
        block.in_groups();
      }
    });
    team.barrier();
    if (deferred.any()) {
      deferred.add(frame, round, team);
      team.barrier();
    }
    task = round.last;
  }
  if (!deferred.all_layers()) reduce(frame, shared, team);
}

template class MetaGradient<float>;
template class MetaGradient<double>;

}  // namespace FOMAML_FAST_NAMESPACE::rows
