// One task as the flows see it: losses, gradients and Hessian-vector products over flat vectors.
#pragma once

#include "engines/engine.hpp"
#include "engines/reference/flat_segments.hpp"
#include "engines/reference/task_objective.hpp"

namespace FOMAML_FAST_NAMESPACE::reference {

template <class T>
class Tasks {
 public:
  Tasks(const TaskObjective<T>& support, const TaskObjective<T>& query, T* product, Index size)
      : support_(support), query_(query), product_(product), size_(size) {}

  T support_gradient(int /*slot*/, const T* theta, T* g) {
    return support_.value_and_gradient(theta, g);
  }
  void add_hessian(int /*slot*/, const T* theta, const T* v, bool /*all*/, T* to) {
    support_.hessian_vector(theta, v, product_);
    for (Index i = 0; i < size_; ++i) to[i] += product_[i];
  }
  void finish(T* /*to*/) {}
  T query_gradient(const T* theta, T* g) { return query_.value_and_gradient(theta, g); }
  T query_loss(const T* theta) { return query_.value(theta); }

 private:
  const TaskObjective<T>& support_;
  const TaskObjective<T>& query_;
  T* product_;
  Index size_;
};

}  // namespace FOMAML_FAST_NAMESPACE::reference
