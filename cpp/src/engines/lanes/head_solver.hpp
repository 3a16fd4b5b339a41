// Heads in closed form of one group of tasks: from features and errors to weights and variances,
// and the ways back, in the call's dtype around the systems (head_system.hpp) in float64.
#pragma once

#include <optional>

#include "engines/lanes/head_numbers.hpp"
#include "engines/lanes/head_system.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

template <class T>
class HeadSolver {
 public:
  using V = Vec<T>;

  HeadSolver(const Problem& problem, const Shapes& shapes, const HeadNumbers<T>& numbers,
             Arena& arena);

  /// What the group's tasks show, features of the support's rows and, behind them, the query's;
  /// fill in `errors` [rows, n]: targets less what W0 predicts.
  void open(const RowSet<T>& set, const LaneRows<T>& rows, Group group,
            const FeatureRows<V>& features);
  [[nodiscard]] V* errors() const { return errors_; }
  void solve();
  /// W [m, n] from W0, after solve.
  void weights(const V* start, V* to) const;

  /// v of every query row, as predictive_loss expects them: of the posterior, or before any row.
  const V* variances();
  const V* prior_variances();
  [[nodiscard]] V* variances_gradient() const { return v_bar_; }

  /// After solve and, if the query loss is of them, variances, whose gradient is then filled in:
  /// from the gradient on W to that on z = phi R of all features' rows and, its sign turned, that
  /// on the errors. Without `exact` to that on the query's z alone.
  void pull_back(const V* w_bar, bool exact);
  [[nodiscard]] const V* z_gradient() const { return z_bar_; }
  [[nodiscard]] const V* query_gradient() const {
    return predictive_ ? z_bar_ + rows_->rows * numbers_.stride() : nullptr;
  }
  [[nodiscard]] const V* minus_error_gradient() const { return minus_error_bar_; }
  /// That on the numbers of R.
  void factor_gradient(const V* w_bar, V* to) const;

 private:
  template <class Body>
  void for_systems(Body&& body) const;
  void read_roots(Index output);
  void solve(Index first, Index count);
  void find_variances(V* v);
  void pull_back(Index first, Index count, bool exact);
  /// Query rows with variances.
  [[nodiscard]] Index query_rows() const {
    return predictive_ ? features_.grid.rows - rows_->rows : 0;
  }
  [[nodiscard]] const V* psi() const { return z_ + rows_->rows * numbers_.stride(); }
  /// Where those of the system of output `first` stand.
  [[nodiscard]] Index variances_of(Index first) const {
    return per_output_ ? first * query_rows() : 0;
  }

  const HeadNumbers<T>& numbers_;
  Index m_, n_;
  bool predictive_;  ///< the query's variances are wanted
  bool per_output_;  ///< every output has a system of its own
  const RowSet<T>* set_ = nullptr;
  const LaneRows<T>* rows_ = nullptr;
  Group group_{};
  FeatureRows<V> features_{};
  std::array<std::optional<HeadSystem>, kHalves<T>> systems_;  ///< of each half of a pack
  V *z_, *roots_, *errors_, *u_, *moved_, *v_;
  V *v_bar_ = nullptr, *z_bar_ = nullptr;
  V *left_ = nullptr, *right_ = nullptr, *minus_error_bar_ = nullptr, *factor_bar_ = nullptr;
};

}  // namespace FOMAML_FAST_NAMESPACE::lanes
