#include "engines/lanes/head_solver.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

template <class T>
HeadSolver<T>::HeadSolver(const Problem& problem, const Shapes& shapes,
                          const HeadNumbers<T>& numbers, Arena& arena)
    : numbers_(numbers),
      m_(numbers.features()),
      n_(numbers.outputs()),
      predictive_(numbers.spec().predictive ||
                  (problem.operation == Operation::adapt && !problem.wants_trace)),
      per_output_(problem.support.per_output) {
  const auto take = [&](Index count) { return arena.take<V>(count); };
  const Index rows = shapes.support.rows, queries = predictive_ ? shapes.query.rows : 0;
  const Index stride = numbers.stride(), together = per_output_ ? 1 : n_;
  z_ = take((rows + queries) * stride);
  roots_ = take(rows);
  errors_ = take(rows * n_);
  u_ = take(m_ * n_);
  moved_ = take(m_ * n_);
  v_ = take(queries * (per_output_ ? n_ : 1));
  for (auto& system : systems_) system.emplace(m_, together, rows, queries, arena);
  if (!shapes.meta) return;
  const Index depth = 2 * together + queries;
  v_bar_ = take(queries * (per_output_ ? n_ : 1));
  z_bar_ = take((rows + queries) * stride);
  left_ = take(rows * depth);
  right_ = take(depth * stride);
  minus_error_bar_ = take(rows * n_);
  factor_bar_ = take(m_ * m_);
}

/// Calls body(first, count) for outputs that share their rows' weights, and so a system.
template <class T>
template <class Body>
void HeadSolver<T>::for_systems(Body&& body) const {
  if (!per_output_) return body(Index{0}, n_);
  for (Index j = 0; j < n_; ++j) body(j, Index{1});
}

template <class T>
void HeadSolver<T>::open(const RowSet<T>& set, const LaneRows<T>& rows, Group group,
                         const FeatureRows<V>& features) {
  set_ = &set;
  rows_ = &rows;
  group_ = group;
  features_ = features;
  if (!predictive_) features_.grid.rows = rows.rows;
  numbers_.times(features_, z_);
  for (auto& system : systems_) system->open(rows.rows, query_rows());
}

/// Of the weights of the rows, as output `j` has them; 0 for rows that are not there.
template <class T>
void HeadSolver<T>::read_roots(Index j) {
  const LaneRows<T>& rows = *rows_;
  const bool given = set_->weights != nullptr;
  const Index each = given && set_->weighs_outputs ? n_ : 1, c_each = rows.per_output ? n_ : 1;
  const Index place = given && set_->weighs_outputs ? j : 0, c_place = rows.per_output ? j : 0;
  for (Index row = 0; row < rows.rows; ++row) {
    T weights[kLanes<T>]{};
    for (int lane = 0; given && lane < group_.count; ++lane) {
      const Index task = group_.first + lane;
      if (row >= set_->count(task)) continue;
      weights[lane] = set_->weights[(set_->first(task) + row) * each + place];
    }
    const V weight = given ? load<V>(weights) : broadcast<V>(1);
    const V c = rows.c[row * c_each + c_place];
    roots_[row] = select(c == V{}, V{}, math::sqrt(weight));
  }
}

template <class T>
void HeadSolver<T>::solve(Index first, Index count) {
  read_roots(first);
  const Index rows = rows_->rows;
  for (int half = 0; half < kHalves<T>; ++half) {
    HeadSystem& system = *systems_[static_cast<std::size_t>(half)];
    widen<T>(z_, numbers_.stride(), half, system.z_grid(), system.z());
    widen<T>(roots_, 1, half, Grid{rows, 1, 1}, system.roots());
    widen<T>(errors_ + first, n_, half, Grid{rows, count, count}, system.errors());
    system.solve(count);
    narrow<T>(system.u(), count, half, Grid{m_, count, n_}, u_ + first);
  }
}

template <class T>
void HeadSolver<T>::solve() {
  for_systems([&](Index first, Index count) { solve(first, count); });
}

template <class T>
void HeadSolver<T>::weights(const V* start, V* to) const {
  numbers_.times_columns(u_, moved_);
  for (Index i = 0; i < m_; ++i) {
    for (Index j = 0; j < n_; ++j) to[i * n_ + j] = start[i * n_ + j] + moved_[j * m_ + i];
  }
}

template <class T>
const Vec<T>* HeadSolver<T>::prior_variances() {
  const Index rows = query_rows();
  for (Index q = 0; q < rows; ++q) {
    const V* const psi = this->psi() + q * numbers_.stride();
    const V square = sum_of<V>(m_, [&](Index i) { return psi[i] * psi[i]; });
    for (Index system = 0; system < (per_output_ ? n_ : 1); ++system) {
      v_[system * rows + q] = square;
    }
  }
  return v_;
}

template <class T>
void HeadSolver<T>::find_variances(V* v) {
  const Index rows = query_rows();
  for (int half = 0; half < kHalves<T>; ++half) {
    HeadSystem& system = *systems_[static_cast<std::size_t>(half)];
    widen<T>(psi(), numbers_.stride(), half, system.psi_grid(), system.psi());
    narrow<T>(system.variances(), 1, half, Grid{rows, 1, 1}, v);
  }
}

template <class T>
const Vec<T>* HeadSolver<T>::variances() {
  for_systems([&](Index first, Index count) {
    if (per_output_) solve(first, count);
    find_variances(v_ + variances_of(first));
  });
  return v_;
}

template <class T>
void HeadSolver<T>::pull_back(const V* w_bar, bool exact) {
  if (exact) numbers_.transposed_times_columns(w_bar, moved_);
  for_systems([&](Index first, Index count) {
    if (per_output_) {
      solve(first, count);
      if (predictive_) find_variances(v_ + variances_of(first));
    }
    pull_back(first, count, exact);
    const Index stride = numbers_.stride(), rows = rows_->rows, queries = query_rows();
    if (exact) {
      const Index depth = 2 * count + queries;
      const Term<V, V> term{{left_, depth, 1}, {right_, stride, 1}, depth};
      const Grid grid{rows, m_, stride};
      if (first == 0) {
        multiply(grid, term, Zero{}, z_bar_, Store{});
      } else {
        multiply(grid, term, From<V>{z_bar_}, z_bar_, Store{});
      }
    }
    const V* const from = right_ + 2 * count * stride;
    V* const psi_bar = z_bar_ + rows * stride;
    for (Index i = 0; i < queries * stride; ++i) {
      psi_bar[i] = first == 0 ? from[i] : psi_bar[i] + from[i];
    }
  });
}

/// The system's ways back: fills `left`, whose columns are Z's part of three outer products, with
/// the rows' roots, and `right`, whose rows are the others.
template <class T>
void HeadSolver<T>::pull_back(Index first, Index count, bool exact) {
  const Index rows = rows_->rows, queries = query_rows(), stride = numbers_.stride();
  const Index depth = 2 * count + queries;
  for (int half = 0; half < kHalves<T>; ++half) {
    HeadSystem& system = *systems_[static_cast<std::size_t>(half)];
    if (predictive_) {
      widen<T>(v_bar_ + variances_of(first), 1, half, Grid{queries, 1, 1},
               system.variances_gradient());
      system.pull_back_variances(exact);
      narrow<T>(system.psi_gradient(), stride, half, system.psi_grid(),
                right_ + 2 * count * stride);
    }
    if (!exact) continue;
    for (Index j = 0; j < count; ++j) {
      widen<T>(moved_ + (first + j) * m_, 1, half, Grid{m_, 1, count}, system.u_gradient() + j);
    }
    system.pull_back();
    for (Index j = 0; j < count; ++j) {
      for (Index i = 0; i < m_; ++i) {
        narrow<T>(system.g()[i * count + j], half, right_[j * stride + i]);
        narrow<T>(system.u()[i * count + j], half, right_[(count + j) * stride + i]);
      }
    }
    for (Index row = 0; row < rows; ++row) {
      const Wide root = system.roots()[row];
      const Wide *const alpha = system.alpha() + row * count,
                        *const error_bar = system.error_gradient() + row * count,
                        *const seen = system.rows_seen() + row * queries;
      V* const left = left_ + row * depth;
      for (Index j = 0; j < count; ++j) {
        const Wide minus = -root * error_bar[j];
        narrow<T>(root * alpha[j], half, left[j]);
        narrow<T>(minus, half, left[count + j]);
        narrow<T>(minus, half, minus_error_bar_[row * n_ + first + j]);
      }
      for (Index q = 0; q < queries; ++q) narrow<T>(-root * seen[q], half, left[2 * count + q]);
    }
  }
}

template <class T>
void HeadSolver<T>::factor_gradient(const V* w_bar, V* to) const {
  numbers_.gradient(w_bar, u_, features_, z_bar_, factor_bar_, to);
}

template class HeadSolver<float>;
template class HeadSolver<double>;

}  // namespace FOMAML_FAST_NAMESPACE::lanes
