// adapt and meta_gradient of one task after another, by the flows of meta/.
#pragma once

#include "base/finite.hpp"
#include "engines/reference/tasks.hpp"
#include "engines/trace.hpp"
#include "meta/flow.hpp"

namespace FOMAML_FAST_NAMESPACE::reference {

/// One worker's buffers beside the network's.
template <class T>
struct LearningBuffers {
  meta::Vectors<T> vectors;
  T* lambda = nullptr;
  T* product = nullptr;

  static LearningBuffers carve(const Problem& problem, Arena& arena) {
    LearningBuffers buffers;
    const Index size = problem.layout.n_params + problem.algorithm.context;
    const bool meta = problem.operation == Operation::meta_gradient;
    buffers.vectors = meta::Vectors<T>::carve(problem.algorithm, meta, problem.wants_trace, size,
                                              problem.n_rates(), arena);
    if (!meta) return buffers;
    buffers.lambda = arena.take<T>(size);
    if (second_order(problem)) buffers.product = arena.take<T>(size);
    return buffers;
  }
  static bool second_order(const Problem& problem) {
    return problem.operation == Operation::meta_gradient &&
           (problem.algorithm.flow == Flow::implicit ||
            (problem.algorithm.flow == Flow::exact && problem.algorithm.steps > 0));
  }
};

template <class T>
class Learning {
 public:
  Learning(const Problem& problem, const Call<T>& call, const Mlp<T>& mlp,
           const LearningBuffers<T>& buffers)
      : problem_(problem),
        call_(call),
        mlp_(mlp),
        buffers_(buffers),
        segments_(problem),
        adapted_{segments_.data(), segments_.count(), buffers.vectors.size, false, rates()},
        inputs_{problem.algorithm,
                adapted_,
                buffers.vectors,
                problem.algorithm.context > 0 || !problem.algorithm.adapts_all(problem.net.depth),
                call.step_weights,
                problem.step_work()} {}

  /// theta_S, or phi_S, of one task.
  void adapt(Index task) const {
    const Index n = problem_.n_adapted();
    const bool finite = unroll(task);
    if (!finite) call_.diverged[task] = 1;
    if (call_.task_vectors == nullptr) return;
    std::copy_n(adapted_at(problem_.algorithm.steps), n, call_.task_vectors + task * n);
  }

  /// Adds the task's meta-gradient, then that of the rates, to `partial`.
  void add_meta_gradient(Index task, T* partial) const {
    const Index P = problem_.layout.n_params;
    bool finite = unroll(task);
    const TaskObjective<T> support(mlp_, problem_.support.loss, call_.support, task);
    const TaskObjective<T> query(mlp_, problem_.query.loss, call_.query, task);
    Tasks<T> tasks(support, query, buffers_.product, buffers_.vectors.size);
    meta::Solution<T> solution;
    T* lambda = buffers_.lambda;
    const T loss = meta::meta_gradient(inputs_, tasks, lambda, solution);
    finite = finite && meta::defect(loss + solution.residual) == T(0) && all_finite(lambda, P) &&
             all_finite(buffers_.vectors.co_rate, buffers_.vectors.n_rates);
    if (!finite) call_.diverged[task] = 1;
    call_.losses[task] = loss;
    report(solution, task);
    const T weight = call_.task_weights == nullptr ? T(1) : call_.task_weights[task];
    for (Index i = 0; i < P; ++i) partial[i] += weight * lambda[i];
    for (Index i = 0; i < buffers_.vectors.n_rates; ++i) {
      partial[P + i] += weight * buffers_.vectors.co_rate[i];
    }
    if (call_.task_vectors != nullptr) std::copy_n(lambda, P, call_.task_vectors + task * P);
  }

 private:
  [[nodiscard]] inner::Rates<T> rates() const {
    if (problem_.algorithm.rates_per_parameter) return {nullptr, 1, 0, call_.rates};
    return {call_.rates, call_.rate_steps, problem_.net.depth, nullptr};
  }
  /// What adapts of theta_k: all of it, or the context behind it.
  [[nodiscard]] const T* adapted_at(int k) const {
    return buffers_.vectors.theta(k) +
           (problem_.algorithm.context > 0 ? problem_.layout.n_params : 0);
  }

  /// Fills theta_0 and what does not adapt of its successors, then takes the steps.
  bool unroll(Index task) const {
    const AlgorithmSpec& algorithm = problem_.algorithm;
    const meta::Vectors<T>& vectors = buffers_.vectors;
    const Index P = problem_.layout.n_params;
    for (int slot = 0; slot < vectors.slots && !inputs_.watch.stopped(P); ++slot) {
      T* const theta = vectors.thetas + slot * vectors.size;
      std::copy_n(call_.theta + task * call_.theta_stride, P, theta);
      std::fill_n(theta + P, algorithm.context, T(0));
    }
    const TaskObjective<T> support(mlp_, problem_.support.loss, call_.support, task);
    Tasks<T> tasks(support, support, nullptr, vectors.size);
    Trace<T> trace(problem_, call_, task, 1);
    const T wrong = meta::unroll(inputs_, tasks, [&](int k, T loss) {
      if (k == 0 && call_.support_losses != nullptr) call_.support_losses[task] = loss;
      if (problem_.wants_trace) trace.at(k, loss, TraceSource{*this, task});
    });
    const T* last = vectors.theta(algorithm.steps);
    if (problem_.wants_trace) {
      trace.at(algorithm.steps, trace.wants_last_loss() ? support.value(last) : T(0),
               TraceSource{*this, task});
    }
    return wrong == T(0) && all_finite(last, vectors.size);
  }

  struct TraceSource {
    const Learning& learning;
    Index task;

    [[nodiscard]] T query_loss(int k) const {
      return TaskObjective<T>(learning.mlp_, learning.problem_.query.loss, learning.call_.query,
                              task)
          .value(learning.buffers_.vectors.theta(k));
    }
    [[nodiscard]] T defect(int k) const {
      return defect_of(learning.adapted_at(k), learning.problem_.n_adapted());
    }
    template <class Where>
    void write(int k, const Where& where) const {
      if (T* const to = where(0); to != nullptr) {
        std::copy_n(learning.adapted_at(k), learning.problem_.n_adapted(), to);
      }
    }
  };

  void report(const meta::Solution<T>& solution, Index task) const {
    if (call_.solver.residuals == nullptr) return;
    call_.solver.residuals[task] = solution.residual;
    call_.solver.iterations[task] = static_cast<std::int32_t>(solution.iterations);
    call_.solver.indefinite[task] = solution.indefinite > 0 ? 1 : 0;
  }

  const Problem& problem_;
  const Call<T>& call_;
  const Mlp<T>& mlp_;
  const LearningBuffers<T>& buffers_;
  FlatSegments segments_;
  inner::Adapted<T> adapted_;
  meta::Inputs<T> inputs_;
};

}  // namespace FOMAML_FAST_NAMESPACE::reference
