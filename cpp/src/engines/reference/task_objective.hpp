// One task's loss as a function of theta: what unroll and the flows differentiate.
#pragma once

#include "engines/reference/mlp.hpp"

namespace FOMAML_FAST_NAMESPACE::reference {

template <class T>
class TaskObjective {
 public:
  TaskObjective(const Mlp<T>& mlp, const LossSpec& loss, const RowSet<T>& rows, Index task)
      : mlp_(mlp),
        loss_(loss),
        rows_(rows),
        task_(task),
        x_(rows.x + rows.first(task) * mlp.columns()) {}

  /// From here on, the rows of inner step k.
  void use_step(int k) {
    rows_ = rows_.at_step(k);
    x_ = rows_.x + rows_.first(task_) * mlp_.columns();
  }

  T value(const T* theta) const {
    mlp_.forward(theta, x_, rows_.count(task_));
    return mlp_.loss(loss_, rows_, task_, false);
  }
  T value_and_gradient(const T* theta, T* gradient) const {
    mlp_.forward(theta, x_, rows_.count(task_));
    const T loss = mlp_.loss(loss_, rows_, task_, true);
    mlp_.backward(theta, x_, rows_.count(task_), gradient);
    return loss;
  }
  void hessian_vector(const T* theta, const T* v, T* hv) const {
    mlp_.forward(theta, x_, rows_.count(task_));
    mlp_.loss(loss_, rows_, task_, true);
    mlp_.hessian_vector(theta, loss_, rows_, task_, v, hv);
  }

 private:
  const Mlp<T>& mlp_;
  LossSpec loss_;
  RowSet<T> rows_;
  Index task_;
  const T* x_;
};

}  // namespace FOMAML_FAST_NAMESPACE::reference
