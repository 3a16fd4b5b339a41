// adapt and meta_gradient of one task after another, by the flows of meta/.
#pragma once

#include "base/finite.hpp"
#include "engines/adapted_of.hpp"
#include "engines/reference/tasks.hpp"
#include "engines/unroll.hpp"

namespace FOMAML_FAST_NAMESPACE::reference {

/// One worker's buffers beside the network's.
template <class T>
struct GeneralPathBuffers {
  meta::Vectors<T> vectors;
  T* lambda = nullptr;
  T* product = nullptr;

  static GeneralPathBuffers carve(const Problem& problem, Arena& arena) {
    GeneralPathBuffers buffers;
    const Index size = problem.layout.n_params + problem.algorithm.context;
    const bool meta = problem.operation == Operation::meta_gradient;
    buffers.vectors = meta::Vectors<T>::carve(problem.algorithm, meta, problem.wants_trace, size,
                                              problem.n_rates(), arena);
    if (!meta) return buffers;
    buffers.lambda = arena.take<T>(size);
    if (problem.takes_hessians()) buffers.product = arena.take<T>(size);
    return buffers;
  }
};

template <class T>
class GeneralPath {
 public:
  GeneralPath(const Problem& problem, const Call<T>& call, const Mlp<T>& mlp,
              const GeneralPathBuffers<T>& buffers)
      : problem_(problem),
        call_(call),
        mlp_(mlp),
        buffers_(buffers),
        adapted_(problem, call),
        inputs_{problem.algorithm,
                *adapted_,
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

  /// Adds the task's meta-gradient, then that of the rates, to `partial`; what that loses is kept
  /// in `error` beside it.
  void add_meta_gradient(Index task, T* partial, T* error) const {
    const Index P = problem_.layout.n_params;
    bool finite = unroll(task);
    const TaskObjective<T> support(mlp_, problem_.support.loss, call_.support, task);
    const TaskObjective<T> query(mlp_, problem_.query.loss, call_.query, task);
    Tasks<T> tasks(support, query, buffers_.product, buffers_.vectors.size, problem_.n_adapted());
    meta::Solution<T> solution;
    T* lambda = buffers_.lambda;
    const T loss = meta::meta_gradient(inputs_, tasks, lambda, solution);
    finite = finite && meta::defect(loss + solution.residual) == T(0) && all_finite(lambda, P) &&
             all_finite(buffers_.vectors.co_rate, buffers_.vectors.n_rates);
    if (!finite) call_.diverged[task] = 1;
    call_.losses[task] = loss;
    report(call_, task, 1, solution);
    const T weight = call_.task_weights == nullptr ? T(1) : call_.task_weights[task];
    add_compensated(lambda, P, weight, partial, error);
    add_compensated(buffers_.vectors.co_rate, buffers_.vectors.n_rates, weight, partial + P,
                    error + P);
    if (call_.task_vectors != nullptr) std::copy_n(lambda, P, call_.task_vectors + task * P);
  }

 private:
  /// What adapts of theta_k: all of it, or the context behind it.
  [[nodiscard]] const T* adapted_at(int k) const {
    return buffers_.vectors.theta(k) +
           (problem_.algorithm.context > 0 ? problem_.layout.n_params : 0);
  }

  /// Fills theta_0 and what does not adapt of its successors, then takes the steps.
  bool unroll(Index task) const {
    const meta::Vectors<T>& vectors = buffers_.vectors;
    const Index P = problem_.layout.n_params;
    for (int slot = 0; slot < vectors.slots && !inputs_.watch.stopped(P); ++slot) {
      T* const theta = vectors.thetas + slot * vectors.size;
      std::copy_n(call_.theta + task * call_.theta_stride, P, theta);
      std::fill_n(theta + P, problem_.algorithm.context, T(0));
    }
    const TaskObjective<T> support(mlp_, problem_.support.loss, call_.support, task);
    const RowSet<T>& rows = call_.query.x != nullptr ? call_.query : call_.support;  // adapt
    const TaskObjective<T> query(mlp_, problem_.query.loss, rows, task);
    Tasks<T> tasks(support, query, nullptr, vectors.size, problem_.n_adapted());
    const T wrong = FOMAML_FAST_NAMESPACE::unroll(problem_, call_, task, 1, inputs_, tasks);
    return wrong == T(0) && all_finite(vectors.theta(problem_.algorithm.steps), vectors.size);
  }

  const Problem& problem_;
  const Call<T>& call_;
  const Mlp<T>& mlp_;
  const GeneralPathBuffers<T>& buffers_;
  FlatAdapted<T> adapted_;
  meta::Inputs<T> inputs_;
};

}  // namespace FOMAML_FAST_NAMESPACE::reference
