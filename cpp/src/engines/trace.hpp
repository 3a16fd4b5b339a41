// What a call of `adapt` writes of the way: losses and parameters of chosen steps, and where the
// first number that is not finite stood.
#pragma once

#include "engines/engine.hpp"
#include "engines/per_task.hpp"
#include "meta/inputs.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// The trace of one task, or of a group of neighbours, while their steps are taken.
///
/// `Tasks` tells, in packs of one number a task, or a number of the only one:
///   V query_loss(theta)
///   defect(theta)         0 where all that adapts is finite, NaN elsewhere
///   write(theta, where)   copies what adapts of the tasks that where(i), a T*, is not null for
template <class T>
class Trace {
 public:
  Trace(const Problem& problem, const Call<T>& call, Index first, int count)
      : call_(call),
        first_(first),
        count_(count),
        steps_(problem.algorithm.steps),
        points_(problem.trace_points),
        n_adapted_(problem.n_adapted()) {
    for (std::int32_t* const bad : {call.first_bad_loss, call.first_bad_theta}) {
      if (bad != nullptr) std::fill_n(bad + first, count, never());
    }
  }

  /// Whether anybody wants the support loss at theta_S, which no step needs.
  [[nodiscard]] bool wants_last_loss() const {
    return call_.trace_losses != nullptr || call_.first_bad_loss != nullptr;
  }

  /// theta_k and the support loss there, k = 0 … S in turn, theta_{k-1} being there still.
  template <class V, class Tasks>
  void at(int k, V loss, const meta::Vectors<V>& vectors, Tasks& tasks) {
    for (int i = 0; i < count_; ++i) {
      const T value = number_of(loss, i);
      if (call_.trace_losses != nullptr) call_.trace_losses[task(i) * (steps_ + 1) + k] = value;
      if (!is_finite(value)) mark(call_.first_bad_loss, i, k);
    }
    check_theta(k, vectors, tasks);
    if (next_ == points_ || call_.trace_points[next_] != k) return;
    const Index point = next_++;
    const auto place = [&](int i) { return task(i) * points_ + point; };
    if (call_.trace_query_losses != nullptr) {
      const V query = tasks.query_loss(vectors.theta(k));
      for (int i = 0; i < count_; ++i) call_.trace_query_losses[place(i)] = number_of(query, i);
    }
    if (call_.trace_thetas != nullptr) {
      tasks.write(vectors.theta(k),
                  [&](int i) { return call_.trace_thetas + place(i) * n_adapted_; });
    }
  }

 private:
  static bool is_finite(T x) { return x - x == T(0); }
  [[nodiscard]] std::int32_t never() const { return steps_ + 1; }
  [[nodiscard]] Index task(int i) const { return first_ + i; }
  void mark(std::int32_t* bad, int i, int k) const {
    if (bad != nullptr && bad[task(i)] == never()) bad[task(i)] = k;
  }

  /// What is not finite stays so: the last finite theta is the one before the first that is not.
  template <class V, class Tasks>
  void check_theta(int k, const meta::Vectors<V>& vectors, Tasks& tasks) {
    if (call_.first_bad_theta == nullptr && call_.last_finite == nullptr) return;
    const auto defect = tasks.defect(vectors.theta(k));
    std::uint32_t ends = 0;  // tasks whose last finite theta is the one before
    for (int i = 0; i < count_; ++i) {
      const std::uint32_t bit = std::uint32_t{1} << i;
      if ((bad_ & bit) != 0 || number_of(defect, i) == T(0)) continue;
      bad_ |= bit;
      ends |= bit;
      mark(call_.first_bad_theta, i, k);
    }
    if (call_.last_finite == nullptr) return;
    const auto write = [&](int from, std::uint32_t which) {
      if (which == 0) return;
      tasks.write(vectors.theta(from), [&](int i) {
        return (which >> i & 1U) != 0 ? call_.last_finite + task(i) * n_adapted_ : nullptr;
      });
    };
    write(std::max(0, k - 1), ends);
    if (k == steps_) write(k, ~bad_);
  }

  const Call<T>& call_;
  Index first_;
  int count_;
  int steps_;
  Index points_, n_adapted_;
  Index next_ = 0;         ///< the point that comes next
  std::uint32_t bad_ = 0;  ///< bit i: task i has had a theta that is not finite
};

}  // namespace FOMAML_FAST_NAMESPACE
