#include "engines/lanes/head_path.hpp"

#include "base/finite.hpp"
#include "engines/lanes/group_total.hpp"
#include "engines/lanes/output_loss.hpp"
#include "engines/lanes/predictive_loss.hpp"
#include "engines/per_task.hpp"
#include "engines/trace.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

template <class T>
HeadBuffers<T>::HeadBuffers(const Problem& problem, const Shapes& shapes,
                            const HeadNumbers<T>& numbers, const PartialSums<T>& sums, Arena& arena)
    : solver(problem, shapes, numbers, arena) {
  const auto take = [&](Index count) { return take_vectors<V>(shapes, count, arena); };
  const Index size = numbers.features() * numbers.outputs();
  vectors = meta::Vectors<V>::carve(problem.algorithm, shapes.meta, problem.wants_trace,
                                    shapes.size, problem.n_rates(), arena, take);
  Pieces both = shapes.support;
  both.rows += shapes.query.rows;
  support = LaneRows<T>::carve(problem, problem.support, both, arena);
  query = LaneRows<T>::carve(problem, problem.query, shapes.query, arena);
  activity = Activity<T>::carve(shapes, both.rows, shapes.meta, arena);
  for (int l = 0; l < shapes.depth && problem.net.normalized(Norm::batch); ++l) {
    query_norms[NetworkSpec::at(l)] = normalization::Layer<V>::carve(
        shapes[l].norm, shapes.query.rows, shapes[l].fan_out, false, arena);
  }
  start = arena.take<V>(size);
  weights = arena.take<V>(size);
  if (!shapes.meta) return;
  lambda = take(1);
  w_bar = arena.take<V>(size);
  noise_bar = arena.take<V>(numbers.outputs());
  total = arena.take<V>(sums.size);
  if (shapes.long_blocks) totals = {total, arena.take<V>(sums.size), arena.take<V>(sums.size)};
}

template <class T>
HeadPath<T>::HeadPath(const Problem& problem, const Shapes& shapes, const Call<T>& call,
                      const CallBuffers<T>& shared, const HeadNumbers<T>& numbers,
                      HeadBuffers<T>& buffers)
    : problem_(problem),
      shapes_(shapes),
      body_(shapes),
      call_(call),
      shared_(shared),
      numbers_(numbers),
      buffers_(buffers),
      has_query_(shapes.meta || problem.query.longest > 0),
      batch_norm_(problem.net.normalized(Norm::batch)) {
  body_.depth = shapes.depth - 1;
}

/// theta_0 of the group, and of its successor what stays: all but the last layer.
template <class T>
void HeadPath<T>::start(Group group) {
  group_ = group;
  if (has_start_) return;
  V *const theta = buffers_.vectors.theta(0), *const after = buffers_.vectors.theta(1);
  if (problem_.theta_per_task) {
    gather_parameters(shapes_, call_.theta, call_.theta_stride, group, theta);
  } else {
    for (Index i = 0; i < shapes_.size; ++i) theta[i] = broadcast<V>(shared_.theta[i]);
    has_start_ = true;
  }
  std::copy_n(theta, head_at(), after);
  body_defect_ = defect_of(theta, head_at());
  if (problem_.algorithm.head.zero_mean) {
    std::fill_n(buffers_.start, numbers_.features() * numbers_.outputs(), V{});
  } else {
    std::copy_n(head(0), numbers_.features() * numbers_.outputs(), buffers_.start);
  }
}

/// Calls `body` with theta_0: scalars if all tasks share it.
template <class T>
template <class Body>
void HeadPath<T>::with_theta(Body&& body) const {
  if (problem_.theta_per_task) return body(static_cast<const V*>(buffers_.vectors.theta(0)));
  body(shared_.theta);
}

/// The group's rows, and what the layers below the last make of them.
template <class T>
void HeadPath<T>::load() {
  LaneRows<T>&support = buffers_.support, &query = buffers_.query;
  support.load(problem_.net, call_.support, group_, shapes_.support, 0);
  query.x = support.x + support.rows * support.stride;
  query.rows = 0;
  if (has_query_) query.load(problem_.net, call_.query, group_, shapes_.query, 0);
  both_ = support;
  both_.rows += query.rows;
  both_.blocked = both_.rows > kFewTerms;

  Activity<T>& part = query_activity_ = buffers_.activity;
  for (int l = 0; l < shapes_.depth; ++l) {
    const std::size_t i = NetworkSpec::at(l);
    for (auto* const array : {&part.h, &part.s, &part.d, &part.du, &part.dh}) {
      V*& place = (*array)[i];
      if (place != nullptr) place += support.rows * shapes_[l].stride;
    }
    part.norms[i] = shapes_[l].norm == Norm::batch ? buffers_.query_norms[i]
                                                   : part.norms[i].from_row(support.rows);
  }
  with_theta([&](const auto* theta) {
    if (!batch_norm_) return forward(body_, theta, both_, buffers_.activity);
    forward(body_, theta, support, buffers_.activity);
    if (has_query_) forward(body_, theta, query, query_activity_);
  });
}

template <class T>
FeatureRows<Vec<T>> HeadPath<T>::features(const V* x, const Activity<T>& activity,
                                          Index rows) const {
  const V* const h = body_.depth == 0 ? x : activity.h[NetworkSpec::at(body_.depth - 1)];
  return {h, shapes_.inputs(body_.depth, rows)};
}

template <class T>
Vec<T>* HeadPath<T>::outputs(const V* theta, const LaneRows<T>& rows,
                             const Activity<T>& activity) const {
  const FeatureRows<V> phi = features(rows.x, activity, rows.rows);
  const Layer& last = shapes_.last();
  V* const o = activity.h[top()];
  multiply(
      last.outputs(rows.rows),
      Term<V, V>{matrix(phi.h, phi.grid), matrix(theta + last.weight, last.weights()), last.fan_in},
      Row<V>{theta + last.bias}, o, Store{});
  return o;
}

/// Of the support's targets, which are 0 and 1 where they are classes.
template <class T>
void HeadPath<T>::find_errors(const V* predicted) const {
  const LaneRows<T>& rows = buffers_.support;
  const Index n = numbers_.outputs();
  V* const errors = buffers_.solver.errors();
  const bool labels = call_.support.labels != nullptr;
  for (Index row = 0; row < rows.rows; ++row) {
    for (Index j = 0; j < n; ++j) {
      const Index at = row * n + j;
      const V is = select(rows.y[labels ? row : at] == broadcast<V>(static_cast<T>(j)),
                          broadcast<V>(1), V{});
      const V target = labels ? is : rows.y[at];
      errors[at] = problem_.algorithm.head.zero_mean ? target : target - predicted[at];
    }
  }
}

/// theta_1 from theta_0; NaN in the lanes where a number is not finite or a system not positive
/// definite.
template <class T>
Vec<T> HeadPath<T>::solve() {
  LaneRows<T>& rows = buffers_.support;
  const Activity<T>& activity = buffers_.activity;
  load();
  HeadSolver<T>& solver = buffers_.solver;
  solver.open(call_.support, rows, group_, features(rows.x, activity, both_.rows));
  const V *const theta = buffers_.vectors.theta(0), *const after = buffers_.vectors.theta(1);
  V* const predicted = outputs(theta, rows, activity);
  find_errors(predicted);
  const V before = output_loss<T>(numbers_.outputs(), rows, predicted, nullptr);
  if (call_.support_losses != nullptr) {
    write_numbers(before, group_.count, call_.support_losses + group_.first);
  }
  Trace<T> trace(problem_, call_, group_.first, group_.count);
  if (problem_.wants_trace) trace.at(0, before, buffers_.vectors, *this);
  if (problem_.algorithm.steps == 0) return before - before;

  solver.solve();
  solver.weights(buffers_.start, buffers_.weights);
  const Index n = numbers_.outputs(), size = numbers_.features() * n;
  const V scale = broadcast<V>(numbers_.scale), shift = broadcast<V>(numbers_.shift);
  // A system may be solved where the support loss is not finite: the task has diverged all the
  // same.
  const V wrong = (before - before) + body_defect_;
  for (Index i = 0; i < size; ++i) head(1)[i] = scale * buffers_.weights[i] + wrong;
  for (Index i = size - n; i < size; ++i) head(1)[i] += shift;
  if (problem_.wants_trace) {
    V last{};
    if (trace.wants_last_loss()) {
      last = output_loss<T>(n, rows, outputs(after, rows, activity), nullptr);
    }
    trace.at(1, last, buffers_.vectors, *this);
  }
  return wrong + defect_of(head(1), size);
}

template <class T>
void HeadPath<T>::adapt(Group group) {
  start(group);
  flag(solve());
  if (call_.deviations != nullptr) predict();
  if (call_.task_vectors == nullptr) return;
  const Index P = shapes_.n_params;
  scatter_parameters(shapes_, buffers_.vectors.theta(problem_.algorithm.steps),
                     LaneArrays<T>::of(call_.task_vectors, P, P, group_));
}

/// Means and standard deviations of the query rows' targets.
template <class T>
void HeadPath<T>::predict() {
  const LaneRows<T>& rows = buffers_.query;
  const int steps = problem_.algorithm.steps;
  const V* const o = outputs(buffers_.vectors.theta(steps), rows, query_activity_);
  HeadSolver<T>& solver = buffers_.solver;
  const V* const v = steps == 0 ? solver.prior_variances() : solver.variances();
  const T scale = steps == 0 ? T(1) : std::abs(numbers_.scale);
  const Index n = numbers_.outputs();
  V* const deviations = query_activity_.s[top()];
  LaneArrays<T> means_to{}, deviations_to{};
  for (std::size_t lane = 0; lane < static_cast<std::size_t>(group_.count); ++lane) {
    const Index task = group_.first + static_cast<Index>(lane), count = call_.query.count(task);
    const Index place = call_.query.shared ? task * count : call_.query.first(task);
    means_to.data[lane] = call_.outputs + place * n;
    deviations_to.data[lane] = call_.deviations + place * n;
    means_to.count[lane] = deviations_to.count[lane] = count * n;
  }
  scatter(o, rows.rows * n, means_to);
  for (Index row = 0; row < rows.rows; ++row) {
    for (Index j = 0; j < n; ++j) {
      const V spread = v[(problem_.support.per_output ? j * rows.rows : 0) + row];
      const V noise = broadcast<V>(scale * numbers_.noise(j));
      deviations[row * n + j] = inner::deviation(noise, spread);
    }
  }
  scatter(static_cast<const V*>(deviations), rows.rows * n, deviations_to);
}

template <class T>
Vec<T> HeadPath<T>::query_loss(const V* at) {
  V* const o = outputs(at, buffers_.query, query_activity_);
  if (!problem_.algorithm.head.predictive) {
    return output_loss<T>(numbers_.outputs(), buffers_.query, o, nullptr);
  }
  HeadSolver<T>& solver = buffers_.solver;
  const V* const v =
      at == buffers_.vectors.theta(0) ? solver.prior_variances() : solver.variances();
  return predictive_loss<T>(numbers_, buffers_.query, o, v, problem_.support.per_output, {});
}

template <class T>
Vec<T> HeadPath<T>::defect(const V* at) const {
  return defect_of(at, shapes_.size);
}

template <class T>
template <class Where>
void HeadPath<T>::write(const V* at, const Where& where) const {
  LaneArrays<T> to{};
  for (std::size_t lane = 0; lane < static_cast<std::size_t>(group_.count); ++lane) {
    to.data[lane] = where(static_cast<int>(lane));
    to.count[lane] = to.data[lane] == nullptr ? 0 : shapes_.n_params;
  }
  scatter_parameters(shapes_, at, to);
}

/// The query loss at theta_1; its gradients on the outputs, the variances and the noise.
template <class T>
Vec<T> HeadPath<T>::query_gradient() {
  const Activity<T>& activity = query_activity_;
  V *const o = outputs(buffers_.vectors.theta(1), buffers_.query, activity), *const d =
                                                                                 activity.d[top()];
  if (!problem_.algorithm.head.predictive) {
    return output_loss(numbers_.outputs(), buffers_.query, o, d);
  }
  HeadSolver<T>& solver = buffers_.solver;
  const V* const v = solver.variances();
  return predictive_loss<T>(numbers_, buffers_.query, o, v, problem_.support.per_output,
                            {d, solver.variances_gradient(), buffers_.noise_bar});
}

/// The gradient on the features of a set, where that on features times R is z_bar (null: 0) and
/// that on the features has a b' besides.
template <class T>
void HeadPath<T>::feature_gradient(const LaneRows<T>& rows, const Activity<T>& activity,
                                   const V* z_bar, const V* a, const V* b) const {
  if (body_.depth == 0) return;
  numbers_.times_transposed(z_bar, a, b, shapes_.inputs(body_.depth, rows.rows),
                            activity.du[NetworkSpec::at(body_.depth - 1)]);
}

/// From that to the gradient over the layers below the last.
template <class T>
void HeadPath<T>::body_gradient(const LaneRows<T>& rows, const Activity<T>& activity,
                                bool add) const {
  if (body_.depth == 0) return;
  with_theta([&](const auto* theta) {
    through_layer(body_, theta, body_.depth - 1, rows, activity);
    gradient(body_, theta, rows, activity, add, buffers_.lambda);
  });
}

/// The query loss; its gradient in `lambda` and, beside theta, in `co_rate`. After solve.
template <class T>
Vec<T> HeadPath<T>::gradients() {
  const inner::HeadSpec& spec = problem_.algorithm.head;
  const bool exact = problem_.algorithm.flow == Flow::exact;
  const V loss = query_gradient();
  const Index n = numbers_.outputs(), size = numbers_.features() * n;
  const V* const d = query_activity_.d[top()];
  V* const w_bar = buffers_.w_bar;
  const LaneRows<T>&support = buffers_.support, &query = buffers_.query;
  features_times(features(query.x, query_activity_, query.rows), d, n, w_bar);
  V scale_bar{}, shift_bar{};
  for (Index i = 0; i < size; ++i) scale_bar += w_bar[i] * buffers_.weights[i];
  for (Index i = size - n; i < size; ++i) shift_bar += w_bar[i];
  for (Index i = 0; i < size; ++i) w_bar[i] *= numbers_.scale;

  HeadSolver<T>& solver = buffers_.solver;
  if (exact || spec.predictive) solver.pull_back(w_bar, exact);
  feature_gradient(query, query_activity_, solver.query_gradient(), d, head(1));
  V* const of_start = buffers_.lambda + head_at();
  std::fill_n(of_start, size, V{});
  if (exact) {
    const Activity<T>& activity = buffers_.activity;
    const V* const of_errors = solver.minus_error_gradient();
    feature_gradient(support, activity, solver.z_gradient(), of_errors, buffers_.start);
    if (!spec.zero_mean) {
      features_times(features(support.x, activity, support.rows), of_errors, n, of_start);
      for (Index i = 0; i < size; ++i) of_start[i] += w_bar[i];
    }
    if (batch_norm_) {
      body_gradient(support, activity, false);
      body_gradient(query, query_activity_, true);
    } else {
      body_gradient(both_, activity, false);
    }
  } else {
    body_gradient(query, query_activity_, false);
  }
  if (buffers_.vectors.n_rates > 0) number_gradient(scale_bar, shift_bar);
  return loss;
}

template <class T>
void HeadPath<T>::number_gradient(V scale_bar, V shift_bar) const {
  const inner::HeadSpec& spec = problem_.algorithm.head;
  V* to = buffers_.vectors.co_rate;
  const Index n_factor = spec.n_factor(numbers_.features()), n = numbers_.outputs();
  if (problem_.algorithm.flow == Flow::exact) {
    buffers_.solver.factor_gradient(buffers_.w_bar, to);
  } else {
    std::fill_n(to, n_factor, V{});
  }
  to += n_factor;
  if (spec.predictive) {
    std::copy_n(buffers_.noise_bar, n, to);
  } else {
    std::fill_n(to, n, V{});
  }
  if (!spec.scores()) return;
  to[n] = scale_bar;
  to[n + 1] = shift_bar;
}

template <class T>
void HeadPath<T>::meta_gradient(Group group, bool starts_total) {
  start(group);
  V wrong = solve();
  const V loss = gradients() + wrong;
  write_numbers(loss, group_.count, call_.losses + group_.first);
  wrong += (loss - loss) + defect_of(buffers_.lambda, shapes_.size) +
           defect_of(buffers_.vectors.co_rate, buffers_.vectors.n_rates);
  flag(wrong);
  if (call_.task_vectors != nullptr) {
    const Index P = shapes_.n_params;
    scatter_parameters(shapes_, static_cast<const V*>(buffers_.lambda),
                       LaneArrays<T>::of(call_.task_vectors, P, P, group_));
  }
  add_to_total(call_, group_,
               {buffers_.lambda, shapes_.size, buffers_.vectors.co_rate, buffers_.vectors.n_rates},
               starts_total, buffers_.total);
}

template <class T>
void HeadPath<T>::flag(V defect) const {
  for (int lane = 0; lane < group_.count; ++lane) {
    if (!(defect[lane] == T(0))) call_.diverged[group_.first + lane] = 1;
  }
}

template struct HeadBuffers<float>;
template struct HeadBuffers<double>;
template class HeadPath<float>;
template class HeadPath<double>;

}  // namespace FOMAML_FAST_NAMESPACE::lanes
