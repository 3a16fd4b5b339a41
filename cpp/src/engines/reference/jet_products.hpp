// Jets of one task after another, and products with their Jacobian: block by block of rows.
#pragma once

#include "engines/reference/jets.hpp"
#include "engines/work.hpp"

namespace FOMAML_FAST_NAMESPACE::reference {

template <class T>
class JetProducts {
 public:
  JetProducts(const Problem& problem, Arena& arena)
      : problem_(problem), jets_(problem, takes_tangents(problem.operation), arena) {
    if (sums_rows(problem.operation)) {
      part_ = arena.take<T>(problem.layout.n_params);
      error_ = arena.take<T>(problem.layout.n_params);
      total_ = arena.take<T>(problem.layout.n_params);
    }
  }

  void run(const Call<T>& call, Index task) {
    const Index count = call.support.count(task), first = call.support.first(task);
    const Index before = call.support.shared ? task * count : first;
    const Index stride = problem_.jet.streams() * problem_.net.outputs();
    const Index n_params = problem_.layout.n_params;
    const bool sums = sums_rows(problem_.operation);
    if (sums) {
      std::fill_n(total_, n_params, T(0));
      std::fill_n(error_, n_params, T(0));
    }
    const Index most = Jets<T>::block(problem_);
    const auto work = static_cast<Index>(row_work() * static_cast<double>(most));
    for (Index row = 0; row < count; row += most) {
      if (Watch::of_thread().stopped(work)) return;
      const Index rows = std::min(most, count - row);
      block(call, task, first + row, (before + row) * stride, rows);
      if (sums) add_compensated(part_, n_params, T(1), total_, error_);
    }
    if (sums) std::copy_n(total_, n_params, call.task_vectors + task * n_params);
  }

 private:
  static bool takes_tangents(Operation operation) {
    return operation == Operation::jet_jvp || operation == Operation::jet_vjp_tangent;
  }
  static bool sums_rows(Operation operation) {
    return operation == Operation::jet_vjp || operation == Operation::jet_vjp_tangent;
  }
  /// Of a row.
  [[nodiscard]] double row_work() const {
    return operations(problem_, PassCosts::nominal(problem_.net)) /
           static_cast<double>(std::max<Index>(1, problem_.support.total));
  }

  /// Rows from `row` of the call on; `place` is where their jets stand.
  void block(const Call<T>& call, Index task, Index row, Index place, Index count) {
    const T* const theta = call.theta + task * call.theta_stride;
    const T* const v = call.tangent + task * call.tangent_stride;
    const T* const x = call.support.x + row * problem_.net.inputs();
    const T* const jets = jets_.forward(theta, x, call.directions, count);
    const Index size = count * problem_.jet.streams() * problem_.net.outputs();
    switch (problem_.operation) {
      case Operation::jet:
        std::copy_n(jets, size, call.outputs + place);
        return;
      case Operation::jet_jvp:
        std::copy_n(jets_.push_forward(theta, v, count), size, call.outputs + place);
        return;
      case Operation::jet_vjp:
        return jets_.backward(theta, call.cotangents + place, count, part_);
      default:
        jets_.push_forward(theta, v, count);
        jets_.backward_tangent(theta, call.cotangents + place, call.cotangent_tangents + place, v,
                               count, part_);
    }
  }

  const Problem& problem_;
  Jets<T> jets_;
  T *part_ = nullptr, *total_ = nullptr, *error_ = nullptr;  ///< of a block; of all, and its error
};

}  // namespace FOMAML_FAST_NAMESPACE::reference
