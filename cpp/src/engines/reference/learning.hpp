// adapt and meta_gradient of one task after another, by the flows of meta/.
#pragma once

#include "base/finite.hpp"
#include "engines/reference/tasks.hpp"
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
    buffers.vectors =
        meta::Vectors<T>::carve(problem.algorithm, meta, size, problem.n_rates(), arena);
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
        inputs_{problem.algorithm, adapted_, buffers.vectors,
                problem.algorithm.context > 0 || !problem.algorithm.adapts_all(problem.net.depth),
                call.step_weights} {}

  /// theta_S, or phi_S, of one task.
  void adapt(Index task) const {
    const Index n = problem_.n_adapted();
    const bool finite = unroll(task);
    if (!finite) call_.diverged[task] = 1;
    if (call_.task_vectors == nullptr) return;
    std::copy_n(adapted_at(problem_.algorithm.steps), n, call_.task_vectors + task * n);
  }

  /// Adds the task's meta-gradient, then that of the rates, to `partial`; what that loses is kept
  /// in `error` beside it.
  void add_meta_gradient(Index task, T* partial, T* error) const {
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
    add_compensated(lambda, P, weight, partial, error);
    add_compensated(buffers_.vectors.co_rate, buffers_.vectors.n_rates, weight, partial + P,
                    error + P);
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
    const int slots = vectors.taped ? algorithm.steps + 1 : 2;
    for (int k = 0; k < slots; ++k) {
      std::copy_n(call_.theta + task * call_.theta_stride, P, vectors.theta(k));
      std::fill_n(vectors.theta(k) + P, algorithm.context, T(0));
    }
    const TaskObjective<T> support(mlp_, problem_.support.loss, call_.support, task);
    Tasks<T> tasks(support, support, nullptr, vectors.size);
    const T wrong = meta::unroll(inputs_, tasks, [&](int k, T loss) {
      if (k == 0 && call_.support_losses != nullptr) call_.support_losses[task] = loss;
      if (problem_.wants_trace) trace(task, k, loss);
    });
    const T* last = vectors.theta(algorithm.steps);
    if (problem_.wants_trace) {
      trace(task, algorithm.steps, call_.trace_losses == nullptr ? T(0) : support.value(last));
    }
    return wrong == T(0) && all_finite(last, vectors.size);
  }

  void trace(Index task, int k, T loss) const {
    const Index place = task * (problem_.algorithm.steps + 1) + k, n = problem_.n_adapted();
    if (call_.trace_losses != nullptr) call_.trace_losses[place] = loss;
    if (call_.trace_query_losses != nullptr) {
      call_.trace_query_losses[place] =
          TaskObjective<T>(mlp_, problem_.query.loss, call_.query, task)
              .value(buffers_.vectors.theta(k));
    }
    if (call_.trace_thetas != nullptr) {
      std::copy_n(adapted_at(k), n, call_.trace_thetas + place * n);
    }
  }

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
