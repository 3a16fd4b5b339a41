// One task as the flows see it: losses, gradients and Hessian-vector products over flat vectors.
#pragma once

#include "engines/engine.hpp"
#include "engines/reference/task_objective.hpp"

namespace FOMAML_FAST_NAMESPACE::reference {

/// Parts of the flat vector that adapt.
class FlatSegments {
 public:
  explicit FlatSegments(const Problem& problem) {
    const Index P = problem.layout.n_params;
    const int depth = problem.net.depth;
    if (problem.algorithm.context > 0) {  // phi stands behind theta, and has one rate
      add({P, P + problem.algorithm.context, 0});
      return;
    }
    for (int l = 0; l < depth; ++l) {
      if (!problem.algorithm.adapts(l)) continue;
      const Index end = l + 1 < depth ? problem.layout.weight[NetworkSpec::at(l + 1)] : P;
      add({problem.layout.weight[NetworkSpec::at(l)], end, l});
    }
  }
  [[nodiscard]] const inner::Segment* data() const { return segments_.data(); }
  [[nodiscard]] int count() const { return count_; }

 private:
  void add(inner::Segment segment) { segments_[static_cast<std::size_t>(count_++)] = segment; }
  std::array<inner::Segment, kMaxLayers> segments_{};
  int count_ = 0;
};

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
