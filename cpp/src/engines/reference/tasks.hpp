// One task as the flows see it: losses, gradients and Hessian-vector products over flat vectors.
#pragma once

#include "base/finite.hpp"
#include "engines/engine.hpp"
#include "engines/reference/task_objective.hpp"

namespace FOMAML_FAST_NAMESPACE::reference {

template <class T>
class Tasks {
 public:
  /// `adapted` numbers of theta's `size` are what adapts, as `adapt` returns it: all, or the last.
  Tasks(const TaskObjective<T>& support, const TaskObjective<T>& query, T* product, Index size,
        Index adapted)
      : support_(support), query_(query), product_(product), size_(size), adapted_(adapted) {}

  void use_step(int k) { support_.use_step(k); }
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

  T support_loss(const T* theta) { return support_.value(theta); }
  [[nodiscard]] T defect(const T* theta) const { return defect_of(adapted(theta), adapted_); }
  template <class Where>
  void write(const T* theta, const Where& where) const {
    if (T* const to = where(0); to != nullptr) std::copy_n(adapted(theta), adapted_, to);
  }

 private:
  [[nodiscard]] const T* adapted(const T* theta) const { return theta + size_ - adapted_; }

  TaskObjective<T> support_;
  const TaskObjective<T>& query_;
  T* product_;
  Index size_, adapted_;
};

}  // namespace FOMAML_FAST_NAMESPACE::reference
