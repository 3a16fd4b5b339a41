#include "engines/rows/general_path.hpp"

#include "engines/adapted_of.hpp"
#include "engines/rows/elementwise.hpp"
#include "engines/rows/products.hpp"
#include "engines/unroll.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

namespace {

template <class T>
Index pack_count(Index numbers) {
  return numbers / kLanes<T>;
}

}  // namespace

template <class T>
GeneralPath<T>::CallBuffers::CallBuffers(const Problem& problem, const Shapes<T>& shapes,
                                         Arena& arena) {
  if (problem.algorithm.rates_per_parameter) {
    rates.values = arena.take<T>(shapes.packed_parameters);
  }
  if (problem.operation != Operation::meta_gradient) return;
  const bool per_parameter = problem.algorithm.rates_per_parameter;
  n_rates = per_parameter ? pack_count<T>(shapes.packed_parameters) : problem.n_rates();
  sums = PartialSums<T>::carve(problem, problem.tasks, shapes.packed_parameters,
                               per_parameter ? shapes.packed_parameters : padded<T>(n_rates), arena,
                               problem.has_long_partial_sums(problem.tasks));
}

template <class T>
GeneralPath<T>::Worker::Worker(const Problem& problem, const Shapes<T>& shapes,
                               const CallBuffers& shared, Arena& arena) {
  const bool meta = problem.operation == Operation::meta_gradient;
  const bool second = problem.takes_hessians();
  const int first = problem.first_moving();
  vectors = meta::Vectors<V>::carve(problem.algorithm, meta, problem.wants_trace,
                                    pack_count<T>(shapes.packed_parameters), shared.n_rates, arena);
  const Index steps = problem.algorithm.steps;
  transposes = arena.take<T>(vectors.slots * shapes.packed_transposes);
  const Index passes = vectors.taped ? std::max<Index>(1, steps) : 1;
  support = Pass<T>::carve(shapes, problem.support.longest,
                           second ? Keep::second_order : Keep::deltas, arena, passes, first);
  if (meta || problem.wants_trace) {
    query =
        Pass<T>::carve(shapes, problem.query.longest, meta ? Keep::deltas : Keep::outputs, arena);
  }
  support_targets =
      TargetPacks<T>::carve(problem.support, problem.support.longest, shapes.outputs, arena);
  query_targets =
      TargetPacks<T>::carve(problem.query, problem.query.longest, shapes.outputs, arena);
  loss = LossScratch<T>::carve(shapes.outputs, arena);
  if (meta) lambda = arena.take<V>(vectors.size);
  if (!second) return;
  curvature = CurvatureScratch<T>::carve(shapes, problem.support.longest, arena);
  if (first > 0) below_first = arena.take<T>(problem.support.longest * shapes[first].in_stride);
}

/// One task as the flows see it. Losses are the same in all lanes.
template <class T>
class GeneralPath<T>::Tasks {
 public:
  Tasks(const GeneralPath& path, Index task)
      : path_(path),
        shapes_(path.frame_.shapes),
        problem_(path.frame_.problem),
        call_(path.frame_.call),
        worker_(path.worker_),
        first_(problem_.first_moving()),
        task_(task),
        support_(RowRange<T>::of(call_.support, task, problem_.net.inputs())),
        support_targets_(worker_.support_targets.gather(problem_.support, call_.support, task, 0,
                                                        support_.count)) {
    forward(shapes_, weights(start()), support_, pass(0), 0, first_);
  }

  void use_step(int k) {
    if (!problem_.support.stepped || k == step_) return;
    step_ = k;
    const RowSet<T> rows = call_.support.at_step(k);
    support_ = RowRange<T>::of(rows, task_, problem_.net.inputs());
    support_targets_ =
        worker_.support_targets.gather(problem_.support, rows, task_, 0, support_.count);
  }
  V support_gradient(int k, const V* theta, V* g) {
    const Pass<T> kept = pass(k);
    const Weights<T> at = fresh(theta);
    const V loss = support_loss(k, theta, kept.d(shapes_.depth - 1, support_.count));
    backward(shapes_, at, support_, kept, first_);
    const Weights<T> to{numbers(g), nullptr};
    for (int l = first_; l < shapes_.depth; ++l) {
      if (problem_.algorithm.adapts(l)) layer_gradient(shapes_, l, support_, kept, true, to);
    }
    return loss;
  }
  V support_loss(int k, const V* theta, T* d) {
    const Pass<T> kept = pass(k);
    forward(shapes_, weights(theta), support_, kept, first_);
    return broadcast<V>(loss(support_targets_, kept.h(shapes_.depth - 1), shapes_.last().out_stride,
                             worker_.loss, d));
  }
  void add_hessian(int k, const V* theta, const V* v, bool all, V* to) {
    T* below = nullptr;
    if (all && first_ > 0) {
      below = worker_.below_first;
      if (!put_off_) std::fill_n(below, support_.count * shapes_[first_].in_stride, T(0));
      put_off_ = true;
    }
    const Weights<T> at = weights(theta);
    const LayerViews<T> sum{numbers(to)};
    const LayerViews<const T> tangent{reinterpret_cast<const T*>(v)}, from = sum;
    const Pass<T> kept = pass(k);
    hessian_product<T>({shapes_, at, support_, support_targets_, kept, worker_.curvature,
                        worker_.loss, tangent, nullptr, &from, sum, nullptr, first_, below});
  }
  /// The layers below `first` are linear in what comes down to them: once for all steps.
  void finish(V* to) {
    if (!put_off_) return;
    put_off_ = false;
    const Pass<T> kept = pass(0);
    const Layer& top = shapes_[first_ - 1];
    times_derivative<T>(top.activation, kept.s(first_ - 1), worker_.below_first,
                        support_.count * top.out_stride, kept.du(first_ - 1, support_.count));
    through_norm(shapes_, weights(start()), support_.count, kept, first_ - 1);
    backward(shapes_, weights(start()), support_, kept, 0, first_);
    const Weights<T> sum{numbers(to), nullptr};
    for (int l = 0; l < first_; ++l) layer_gradient(shapes_, l, support_, kept, false, sum);
  }

  V query_gradient(const V* theta, V* g) {
    const Weights<T> at = fresh(theta);
    const Pass<T>& kept = worker_.query;
    const V loss = query_outputs(theta, kept.d(shapes_.depth - 1, 0));
    backward(shapes_, at, query_, kept);
    const Weights<T> to{numbers(g), nullptr};
    for (int l = 0; l < shapes_.depth; ++l) layer_gradient(shapes_, l, query_, kept, true, to);
    return loss;
  }
  V query_loss(const V* theta) { return query_outputs(theta, nullptr); }

  V support_loss(const V* theta) { return support_loss(0, theta, nullptr); }
  [[nodiscard]] T defect(const V* theta) const {
    const bool finite = is_finite(weights(theta).values, shapes_.packed_parameters);
    return finite ? T(0) : std::numeric_limits<T>::quiet_NaN();
  }
  template <class Where>
  void write(const V* theta, const Where& where) const {
    if (T* const to = where(0); to != nullptr) unpack(shapes_, weights(theta), to);
  }

 private:
  [[nodiscard]] const V* start() const { return worker_.vectors.theta(0); }
  [[nodiscard]] Weights<T> weights(const V* theta) const { return path_.weights(theta); }
  [[nodiscard]] Pass<T> pass(int k) const { return worker_.support.copy(k); }
  static T* numbers(V* vector) { return reinterpret_cast<T*>(vector); }

  /// The weights at theta, after a step changed them: their transposes brought up to date.
  Weights<T> fresh(const V* theta) const {
    const Weights<T> at = weights(theta);
    if (theta == start()) return at;
    for (int l = std::max(1, first_); l < shapes_.depth; ++l) {
      const Layer& layer = shapes_[l];
      if (!problem_.algorithm.adapts(l)) continue;
      transpose<T>(at.weight(layer), layer.fan_in, layer.fan_out, at.transposed(layer));
    }
    return at;
  }

  V query_outputs(const V* theta, T* d) {
    const Pass<T>& kept = worker_.query;
    if (query_.x == nullptr) {
      query_ = RowRange<T>::of(call_.query, task_, problem_.net.inputs());
      forward(shapes_, weights(start()), query_, kept, 0, first_);
      query_targets_ =
          worker_.query_targets.gather(problem_.query, call_.query, task_, 0, query_.count);
    }
    forward(shapes_, weights(theta), query_, kept, first_);
    return broadcast<V>(loss(query_targets_, kept.h(shapes_.depth - 1), shapes_.last().out_stride,
                             worker_.loss, d));
  }

  const GeneralPath& path_;
  const Shapes<T>& shapes_;
  const Problem& problem_;
  const Call<T>& call_;
  Worker& worker_;
  int first_;  ///< the lowest layer that adapts
  Index task_;
  RowRange<T> support_;
  RowRange<T> query_;  ///< nothing yet
  Targeted<T> support_targets_, query_targets_;
  int step_ = 0;  ///< whose support rows these are
  bool put_off_ = false;
};

template <class T>
GeneralPath<T>::GeneralPath(const Frame<T>& frame, const CallBuffers& shared, Worker& worker)
    : frame_(frame),
      shared_(shared),
      worker_(worker),
      inputs_{frame.problem.algorithm, adapted_,
              worker.vectors,          !frame.problem.algorithm.adapts_all(frame.shapes.depth),
              frame.call.step_weights, frame.problem.step_work()} {
  const auto add = [&](Index from, Index size, int l) {
    segments_[static_cast<std::size_t>(adapted_.count++)] = {pack_count<T>(from),
                                                             pack_count<T>(from + size), l};
  };
  for (int l = 0; l < frame.shapes.depth; ++l) {
    if (!frame.problem.algorithm.adapts(l)) continue;
    const Layer& layer = frame.shapes[l];
    add(layer.weight, packed_size<T>(layer.fan_in, layer.fan_out), l);
    add(layer.bias, layer.row_parameters(), l);
  }
  adapted_.segments = segments_.data();
  adapted_.size = worker.vectors.size;
  adapted_.across = true;
  adapted_.rates = rates_of(frame.problem, frame.call, shared.rates.values);
}

/// theta_0 of the task, and what does not adapt of its successors, with all transposes.
template <class T>
void GeneralPath<T>::start(Index task) {
  if (has_start_) return;
  has_start_ = !frame_.problem.theta_per_task;
  const Shapes<T>& shapes = frame_.shapes;
  const meta::Vectors<V>& vectors = worker_.vectors;
  const Weights<T> start = weights(vectors.theta(0));
  pack(shapes, frame_.call.theta + task * frame_.call.theta_stride, start);
  if (frame_.problem.algorithm.adapts_all(shapes.depth)) return;
  const int steps = frame_.problem.algorithm.steps;
  const int end = std::min(vectors.slots, steps + 1);
  for (int k = 1; k < end && !inputs_.watch.stopped(vectors.size); ++k) {
    const Weights<T> later = weights(vectors.theta(k));
    std::copy_n(start.values, shapes.packed_parameters, later.values);
    std::copy_n(start.transposes, shapes.packed_transposes, later.transposes);
  }
}

template <class T>
bool GeneralPath<T>::unroll(Tasks& tasks, Index task) {
  const Problem& problem = frame_.problem;
  const V wrong = FOMAML_FAST_NAMESPACE::unroll(problem, frame_.call, task, 1, inputs_, tasks);
  const V* last = worker_.vectors.theta(problem.algorithm.steps);
  return wrong[0] == T(0) && is_finite(weights(last).values, frame_.shapes.packed_parameters);
}

template <class T>
void GeneralPath<T>::adapt(Index task) {
  start(task);
  Tasks tasks(*this, task);
  if (!unroll(tasks, task)) frame_.call.diverged[task] = 1;
  if (frame_.call.task_vectors == nullptr) return;
  unpack(frame_.shapes, weights(worker_.vectors.theta(frame_.problem.algorithm.steps)),
         frame_.call.task_vectors + task * frame_.shapes.parameters);
}

template <class T>
void GeneralPath<T>::meta_gradient(Index task, T* partial, T* error) {
  const Call<T>& call = frame_.call;
  const Index size = worker_.vectors.size;
  start(task);
  Tasks tasks(*this, task);
  bool finite = unroll(tasks, task);
  meta::Solution<V> solution;
  V* const lambda = worker_.lambda;
  const V loss = meta::meta_gradient(inputs_, tasks, lambda, solution);
  const Weights<T> gradient{reinterpret_cast<T*>(lambda), nullptr};
  call.losses[task] = loss[0];
  const meta::Vectors<V>& vectors = worker_.vectors;
  finite = finite && meta::defect(loss + solution.residual)[0] == T(0) &&
           is_finite(gradient.values, frame_.shapes.packed_parameters) &&
           is_finite(reinterpret_cast<const T*>(vectors.co_rate), vectors.n_rates * kLanes<T>);
  if (!finite) call.diverged[task] = 1;
  report(call, task, 1, solution);
  if (call.task_vectors != nullptr) {
    unpack(frame_.shapes, gradient, call.task_vectors + task * frame_.shapes.parameters);
  }
  const T weight = call.task_weights == nullptr ? T(1) : call.task_weights[task];
  const auto add = [&](const V* from, Index place) {
    V* const sum = reinterpret_cast<V*>(partial) + place;
    if (error == nullptr) {
      meta::add_scaled(from, broadcast<V>(weight), size, sum);
    } else {
      add_compensated(from, size, broadcast<V>(weight), sum, reinterpret_cast<V*>(error) + place);
    }
  };
  add(lambda, 0);
  if (vectors.co_rate == nullptr) return;
  if (frame_.problem.algorithm.rates_per_parameter) return add(vectors.co_rate, size);
  const Index rates = frame_.shapes.packed_parameters;
  for (Index i = 0; i < shared_.n_rates; ++i) {
    const T share = weight * vectors.co_rate[i][0];
    if (error == nullptr) {
      partial[rates + i] += share;
    } else {
      add_compensated(share, partial[rates + i], error[rates + i]);
    }
  }
}

/// The user's gradients from the sums.
template <class T>
void GeneralPath<T>::reduce(const Frame<T>& frame, const CallBuffers& shared, Team& team) {
  const Shapes<T>& shapes = frame.shapes;
  T* const sums = shared.sums.reduce_in_place(team, frame.call.grad_scale);
  const bool learns = frame.problem.algorithm.learns_rates;
  const bool per_parameter = frame.problem.algorithm.rates_per_parameter;
  const Weights<T> total{sums, nullptr}, rates{sums + shapes.packed_parameters, nullptr};
  team.share(shapes.panels, [&](Index i) {
    const PanelOf place = locate_panel(shapes, i);
    unpack_panel(shapes, total, place, frame.call.grad);
    if (learns && per_parameter) unpack_panel(shapes, rates, place, frame.call.rate_grad);
  });
  if (learns && !per_parameter && team.worker() == 0) {
    std::copy_n(rates.values, shared.n_rates, frame.call.rate_grad);
  }
}

template <class T>
void GeneralPath<T>::run(const Frame<T>& frame, const CallBuffers& shared, Worker& worker,
                         Team& team) {
  const Index tasks = frame.problem.tasks;
  if (frame.problem.algorithm.rates_per_parameter) {
    pack_shared(frame.shapes, frame.call.rates, shared.rates, team);
  }
  GeneralPath path(frame, shared, worker);
  if (frame.problem.operation == Operation::adapt) {
    return team.share(tasks, [&](Index task) { path.adapt(task); });
  }
  const PartialSums<T>& sums = shared.sums;
  team.share(sums.blocks, [&](Index block) {
    sums.clear(block);
    const Index last = tasks * (block + 1) / sums.blocks;
    for (Index task = tasks * block / sums.blocks; task < last && !team.stopped(); ++task) {
      path.meta_gradient(task, sums.of_block(block), sums.errors_of(block));
    }
  });
  reduce(frame, shared, team);
}

template class GeneralPath<float>;
template class GeneralPath<double>;

}  // namespace FOMAML_FAST_NAMESPACE::rows
