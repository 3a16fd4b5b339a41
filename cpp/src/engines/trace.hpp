// What a call of `adapt` writes of the way: losses and parameters of chosen steps, and where the
// first number that is not finite stood.
#pragma once

#include "engines/engine.hpp"
#include "kernels/simd.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// The trace of one task, or of a group of neighbours, while their steps are taken.
///
/// The engine gives a `Source`: packs of one number a task (or T for a single one), of theta_k:
///   query_loss(k)
///   defect(k)         0 where all that adapts is finite, NaN elsewhere
///   write(k, where)   copies what adapts of the tasks that where(i), a T*, is not null for
/// theta_{k-1} must still be there when theta_k is looked at.
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

  /// theta_k, the support loss there, and what `source` tells; k = 0 … S in turn.
  template <class V, class Source>
  void at(int k, V loss, Source&& source) {
    for (int i = 0; i < count_; ++i) {
      const T value = lane_of(loss, i);
      if (call_.trace_losses != nullptr) call_.trace_losses[task(i) * (steps_ + 1) + k] = value;
      if (!is_finite(value)) mark(call_.first_bad_loss, i, k);
    }
    look_at_theta(k, source);
    if (next_ == points_ || call_.trace_points[next_] != k) return;
    const Index point = next_++;
    const auto place = [&](int i) { return task(i) * points_ + point; };
    if (call_.trace_query_losses != nullptr) {
      const V query = source.query_loss(k);
      for (int i = 0; i < count_; ++i) call_.trace_query_losses[place(i)] = lane_of(query, i);
    }
    if (call_.trace_thetas != nullptr) {
      source.write(k, [&](int i) { return call_.trace_thetas + place(i) * n_adapted_; });
    }
  }

 private:
  static bool is_finite(T x) { return x - x == T(0); }
  template <class V>
  static T lane_of(V x, int lane) {
    if constexpr (is_scalar_pack<V>) {
      return x;
    } else {
      return x[lane];
    }
  }
  [[nodiscard]] std::int32_t never() const { return steps_ + 1; }
  [[nodiscard]] Index task(int i) const { return first_ + i; }
  void mark(std::int32_t* bad, int i, int k) const {
    if (bad != nullptr && bad[task(i)] == never()) bad[task(i)] = k;
  }

  /// What is not finite stays so: the last finite theta is the one before the first that is not.
  template <class Source>
  void look_at_theta(int k, Source& source) {
    if (call_.first_bad_theta == nullptr && call_.last_finite == nullptr) return;
    const auto defect = source.defect(k);
    std::uint32_t ends = 0;  // tasks whose last finite theta is the one before
    for (int i = 0; i < count_; ++i) {
      const std::uint32_t bit = std::uint32_t{1} << i;
      if ((bad_ & bit) != 0 || lane_of(defect, i) == T(0)) continue;
      bad_ |= bit;
      ends |= bit;
      mark(call_.first_bad_theta, i, k);
    }
    if (call_.last_finite == nullptr) return;
    const auto write = [&](int from, std::uint32_t which) {
      if (which == 0) return;
      source.write(from, [&](int i) {
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
