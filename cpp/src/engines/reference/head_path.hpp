// adapt and meta_gradient of one task after another, where the last layer is adapted in closed
// form.
#pragma once

#include "base/finite.hpp"
#include "engines/reference/gaussian.hpp"
#include "engines/reference/head_system.hpp"
#include "engines/reference/task_objective.hpp"
#include "engines/trace.hpp"

namespace FOMAML_FAST_NAMESPACE::reference {

/// One worker's buffers beside the network's.
template <class T>
struct HeadBuffers {
  HeadSystem system;
  meta::Vectors<T> vectors;
  T *lambda = nullptr, *other = nullptr, *features = nullptr, *inner = nullptr;
  double *log_noise = nullptr, *noise_bar = nullptr, *v = nullptr, *v_bar = nullptr;
  double* delta = nullptr;  ///< on the query's outputs

  HeadBuffers(const Problem& problem, Arena& arena)
      : system(problem.algorithm.head, problem.net.features(), problem.net.outputs(),
               problem.support.longest, queries(problem), arena) {
    const Index size = problem.layout.n_params, outputs = problem.net.outputs();
    const bool meta = problem.operation == Operation::meta_gradient;
    vectors = meta::Vectors<T>::carve(problem.algorithm, meta, problem.wants_trace, size,
                                      problem.n_rates(), arena);
    log_noise = arena.take<double>(outputs);
    v = arena.take<double>(queries(problem) * groups(problem));
    if (!meta) return;
    lambda = arena.take<T>(size);
    other = arena.take<T>(size);
    features = arena.take<T>(std::max(problem.support.longest, queries(problem)) *
                             (problem.net.features() - 1));
    inner = arena.take<T>(problem.n_rates());
    noise_bar = arena.take<double>(outputs);
    delta = arena.take<double>(queries(problem) * outputs);
    v_bar = arena.take<double>(queries(problem) * groups(problem));
  }
  static Index queries(const Problem& problem) { return std::max<Index>(1, problem.query.longest); }
  /// Systems of a task: one, or one an output where each has weights of its own.
  static Index groups(const Problem& problem) {
    return problem.support.per_output ? problem.net.outputs() : 1;
  }
};

template <class T>
class HeadPath {
 public:
  HeadPath(const Problem& problem, const Call<T>& call, const Mlp<T>& mlp, HeadBuffers<T>& buffers)
      : problem_(problem), call_(call), mlp_(mlp), buffers_(buffers), system_(buffers.system) {
    const T* const numbers = call.rates;
    const inner::HeadSpec& head = problem.algorithm.head;
    system_.factor().read(numbers);
    const T* const noise = numbers + head.n_factor(problem.net.features());
    for (Index j = 0; j < outputs(); ++j) buffers.log_noise[j] = static_cast<double>(noise[j]);
    if (!head.scores()) return;
    scale_ = static_cast<double>(noise[outputs()]);
    shift_ = static_cast<double>(noise[outputs() + 1]);
  }

  void adapt(Index task) const {
    const bool finite = solve(task);
    if (!finite) call_.diverged[task] = 1;
    if (call_.deviations != nullptr) predict();
    if (call_.task_vectors == nullptr) return;
    const Index P = problem_.layout.n_params;
    std::copy_n(theta(problem_.algorithm.steps), P, call_.task_vectors + task * P);
  }

  /// Adds the task's meta-gradient, then that of the numbers beside theta, to `partial`.
  void add_meta_gradient(Index task, T* partial, T* error) const {
    const Index P = problem_.layout.n_params, R = buffers_.vectors.n_rates;
    bool finite = solve(task);
    constexpr T kNan = std::numeric_limits<T>::quiet_NaN();
    const T loss = finite ? gradients(task) : kNan;
    if (!finite) {  // not what the task before left there
      std::fill_n(buffers_.lambda, P, kNan);
      std::fill_n(buffers_.vectors.co_rate, R, kNan);
    }
    finite = finite && loss - loss == T(0) && all_finite(buffers_.lambda, P) &&
             all_finite(buffers_.vectors.co_rate, R);
    if (!finite) call_.diverged[task] = 1;
    call_.losses[task] = loss;
    const T weight = call_.task_weights == nullptr ? T(1) : call_.task_weights[task];
    add_compensated(buffers_.lambda, P, weight, partial, error);
    add_compensated(buffers_.vectors.co_rate, R, weight, partial + P, error + P);
    if (call_.task_vectors != nullptr) {
      std::copy_n(buffers_.lambda, P, call_.task_vectors + task * P);
    }
  }

  // What a trace asks for.
  [[nodiscard]] T query_loss(const T* at) const {
    const RowSet<T>& rows = call_.query;
    const Index count = rows.count(task_);
    mlp_.forward(at, x(rows), count);
    if (!problem_.algorithm.head.predictive) {
      return mlp_.loss(problem_.query.loss, rows, task_, false);
    }
    read_variances(count, at == theta(0));
    return static_cast<T>(gaussian(count).loss(mlp_.outputs(), nullptr, nullptr, nullptr));
  }
  [[nodiscard]] T defect(const T* at) const { return defect_of(at, problem_.layout.n_params); }
  template <class Where>
  void write(const T* at, const Where& where) const {
    if (T* const to = where(0); to != nullptr) std::copy_n(at, problem_.layout.n_params, to);
  }

 private:
  [[nodiscard]] Index outputs() const { return problem_.net.outputs(); }
  [[nodiscard]] Index m() const { return problem_.net.features(); }
  [[nodiscard]] T* theta(int k) const { return buffers_.vectors.theta(k); }
  [[nodiscard]] const T* x(const RowSet<T>& rows) const {
    return rows.x + rows.first(task_) * mlp_.columns();
  }
  /// The last layer in a vector of parameters: W, then b as the row of the feature that is 1.
  [[nodiscard]] Index head_at() const {
    return problem_.layout.layer(problem_.net, problem_.net.depth - 1).weight;
  }
  template <class Body>
  void for_groups(Body&& body) const {
    if (!problem_.support.per_output) return body(Index{0}, Index{0}, outputs());
    for (Index j = 0; j < outputs(); ++j) body(j, j, Index{1});
  }
  double* variances(Index group, Index count) const { return buffers_.v + group * count; }
  [[nodiscard]] GaussianRows<T> gaussian(Index count) const {
    return {call_.query,        task_,      outputs(),
            buffers_.log_noise, buffers_.v, problem_.support.per_output ? count : 0};
  }

  /// Features and a 1 behind them.
  void copy_features(const RowSet<T>& rows, Index count, Matrix<double> to) const {
    to.leftCols(m() - 1) = mlp_.features(x(rows), count).template cast<double>();
    to.col(m() - 1).setOnes();
  }
  void read_query(Index count) const {
    system_.open_query(count);
    copy_features(call_.query, count, system_.query());
  }

  /// Of the query rows, after forward: of the posterior, or before any row was seen.
  void read_variances(Index count, bool before) const {
    read_query(count);
    for_groups([&](Index group, Index first, Index size) {
      if (before) {
        system_.prior_variances(variances(group, count));
      } else {
        stand(first, size);
        system_.variances(variances(group, count));
      }
    });
  }

  /// Means and standard deviations of the query rows' targets.
  void predict() const {
    const RowSet<T>& rows = call_.query;
    const Index count = rows.count(task_), n = outputs();
    const Index place = (rows.shared ? task_ * count : rows.first(task_)) * n;
    const int steps = problem_.algorithm.steps;
    mlp_.forward(theta(steps), x(rows), count);
    std::copy_n(mlp_.outputs(), count * n, call_.outputs + place);
    read_variances(count, steps == 0);
    const double scale = steps == 0 ? 1 : std::abs(scale_);
    for (Index i = 0; i < count; ++i) {
      for (Index j = 0; j < n; ++j) {
        const double v = variances(problem_.support.per_output ? j : 0, count)[i];
        const double noise = std::exp(buffers_.log_noise[j]);
        call_.deviations[place + i * n + j] = static_cast<T>(inner::deviation(scale * noise, v));
      }
    }
  }

  /// Roots of the weights of the rows, as output `j` has them.
  void read_roots(Index j) const {
    const RowSet<T>& rows = call_.support;
    const Index count = rows.count(task_), first = rows.first(task_);
    for (Index i = 0; i < count; ++i) {
      const Index row = first + i, at = row * outputs() + j;
      const bool known = !rows.per_output || rows.coefficients[at] != T(0);
      T c = known ? T(1) : T(0);
      if (known && rows.weights != nullptr) c = rows.weights[rows.weighs_outputs ? at : row];
      system_.roots()[i] = std::sqrt(static_cast<double>(c));
    }
  }
  void read_targets() const {
    const RowSet<T>& rows = call_.support;
    const Index count = rows.count(task_), first = rows.first(task_);
    Matrix<double> y = system_.targets();
    if (rows.labels == nullptr) {
      y = ConstMatrix<T>(rows.y + first * outputs(), count, outputs()).template cast<double>();
      return;
    }
    y.setZero();
    for (Index i = 0; i < count; ++i) y(i, rows.labels[first + i]) = 1;
  }

  /// theta_1 from theta_0; false where a number is not finite or a system not positive definite.
  bool solve(Index task) const {
    task_ = task;
    const Index P = problem_.layout.n_params, count = call_.support.count(task);
    std::copy_n(call_.theta + task * call_.theta_stride, P, theta(0));
    const TaskObjective<T> support(mlp_, problem_.support.loss, call_.support, task);
    const T before = support.value(theta(0));
    if (call_.support_losses != nullptr) call_.support_losses[task] = before;
    Trace<T> trace(problem_, call_, task, 1);
    if (problem_.wants_trace) trace.at(0, before, buffers_.vectors, *this);
    bool finite = before - before == T(0);
    if (problem_.algorithm.steps == 0) return finite;

    mlp_.forward(theta(0), x(call_.support), count);  // a trace looked at the query
    system_.open(count);
    copy_features(call_.support, count, system_.features());
    Matrix<double> start = system_.start();
    if (problem_.algorithm.head.zero_mean) {
      start.setZero();
    } else {
      start = ConstMatrix<T>(theta(0) + head_at(), m(), outputs()).template cast<double>();
    }
    read_targets();
    system_.begin();
    for_groups([&](Index, Index first, Index size) {
      read_roots(first);
      finite = system_.solve(first, size) && finite;
    });
    T* const after = theta(1);
    std::copy_n(theta(0), P, after);
    Matrix<T> head(after + head_at(), m(), outputs());
    head = (scale_ * system_.weights()).template cast<T>();
    head.row(m() - 1).array() += static_cast<T>(shift_);
    if (!finite)
      std::fill_n(after + head_at(), m() * outputs(), std::numeric_limits<T>::quiet_NaN());
    if (problem_.wants_trace) {
      const T last = trace.wants_last_loss() ? support.value(after) : T(0);
      trace.at(1, last, buffers_.vectors, *this);
    }
    return finite && all_finite(after, P);
  }

  /// The query loss; its gradient in `lambda` and, beside theta, in `co_rate`. After solve.
  T gradients(Index task) const {
    const RowSet<T>& rows = call_.query;
    const Index P = problem_.layout.n_params, count = rows.count(task);
    const bool exact = problem_.algorithm.flow == Flow::exact;
    T* const g = buffers_.lambda;
    std::fill_n(g, P, T(0));
    std::fill_n(buffers_.noise_bar, outputs(), 0.0);
    mlp_.forward(theta(1), x(rows), count);
    read_query(count);
    const T loss = query_gradient(count);
    system_.clear_gradients();
    const ConstMatrix<T> of_outputs(mlp_.delta(), count, outputs());
    Matrix<double> delta(buffers_.delta, count, outputs());
    delta = of_outputs.template cast<double>();
    Matrix<double> w_bar = system_.weights_gradient();
    w_bar.noalias() = system_.query().transpose() * delta;  // of the scaled weights, so far
    system_.query_gradient().noalias() += (scale_ * delta) * system_.weights().transpose();
    const double scale_bar = w_bar.cwiseProduct(system_.weights()).sum();
    const double shift_bar = w_bar.row(m() - 1).sum();
    w_bar *= scale_;
    for_groups([&](Index group, Index first, Index size) { pull_back(group, first, size, count); });
    from_features(call_.query, count, system_.query_gradient(), g);
    if (exact) {
      const Index seen = call_.support.count(task);
      mlp_.forward(theta(0), x(call_.support), seen);
      std::fill_n(buffers_.other, P, T(0));
      from_features(call_.support, seen, system_.features_gradient(), buffers_.other);
      for (Index i = 0; i < P; ++i) g[i] += buffers_.other[i];
      if (!problem_.algorithm.head.zero_mean) {
        Matrix<T>(g + head_at(), m(), outputs()) = system_.start_gradient().template cast<T>();
      }
    }
    if (buffers_.vectors.n_rates > 0) write_numbers(scale_bar, shift_bar);
    return loss;
  }

  /// The query loss at theta_1; its gradients in the last layer's delta, on the variances and on
  /// the noise.
  T query_gradient(Index count) const {
    if (!problem_.algorithm.head.predictive) {
      return mlp_.loss(problem_.query.loss, call_.query, task_, true);
    }
    read_variances(count, false);
    return static_cast<T>(
        gaussian(count).loss(mlp_.outputs(), mlp_.delta(), buffers_.v_bar, buffers_.noise_bar));
  }

  /// The system of these outputs, which another may have taken the place of.
  void stand(Index first, Index size) const {
    if (size == outputs()) return;
    read_roots(first);
    system_.solve(first, size);
  }

  /// From the gradients on the weights and variances of a group of outputs to features and numbers.
  void pull_back(Index group, Index first, Index size, Index count) const {
    const inner::HeadSpec& head = problem_.algorithm.head;
    const bool exact = problem_.algorithm.flow == Flow::exact;
    if (!exact && !head.predictive) return;
    stand(first, size);
    if (head.predictive) {
      system_.pull_back_variances(buffers_.v_bar + group * count, exact);
    } else {
      system_.clear_system_gradient();
    }
    if (exact) system_.pull_back();
  }

  /// Writes the gradient over the layers below from that on their outputs.
  void from_features(const RowSet<T>& rows, Index count, const Matrix<double>& features,
                     T* g) const {
    Matrix<T>(buffers_.features, count, m() - 1) = features.leftCols(m() - 1).template cast<T>();
    mlp_.backward_from_features(theta(0), x(rows), count, buffers_.features, g);
  }

  void write_numbers(double scale_bar, double shift_bar) const {
    const inner::HeadSpec& head = problem_.algorithm.head;
    T* to = buffers_.vectors.co_rate;
    const Index n_factor = head.n_factor(m());
    if (problem_.algorithm.flow == Flow::exact) {
      system_.factor().write_gradient(to);
    } else {
      std::fill_n(to, n_factor, T(0));
    }
    to += n_factor;
    for (Index j = 0; j < outputs(); ++j) *to++ = static_cast<T>(buffers_.noise_bar[j]);
    if (!head.scores()) return;
    *to++ = static_cast<T>(scale_bar);
    *to = static_cast<T>(shift_bar);
  }

  const Problem& problem_;
  const Call<T>& call_;
  const Mlp<T>& mlp_;
  HeadBuffers<T>& buffers_;
  HeadSystem& system_;
  double scale_ = 1, shift_ = 0;
  mutable Index task_ = 0;
};

}  // namespace FOMAML_FAST_NAMESPACE::reference
