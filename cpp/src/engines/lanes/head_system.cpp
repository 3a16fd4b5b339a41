#include "engines/lanes/head_system.hpp"

#include <limits>

#include "kernels/vector_math.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

namespace {

using V = Wide;

/// Columns of a factor, or rows of a solution, that are found one after another; what those before
/// them take away is a product.
constexpr Index kTogether = 6;

template <class Body>
void in_blocks(Index count, Body&& body) {
  for (Index first = 0; first < count; first += kTogether) {
    body(first, std::min(first + kTogether, count));
  }
}

/// C -= A B.
void subtract(const Grid& grid, const Term<V, V>& term, V* c) {
  if (term.depth > 0) multiply(grid, term, Zero{}, c, AddTo<V, V>{c, broadcast<V>(-1)});
}

/// x[:] -= factor y[:].
FOMAML_FAST_INLINE void subtract(V* x, V factor, const V* y, Index count) {
  for (Index i = 0; i < count; ++i) x[i] -= factor * y[i];
}

}  // namespace

HeadSystem::HeadSystem(Index m, Index outputs, Index rows, Index queries, Arena& arena)
    : m_(m), stride_(row_stride(m)) {
  const auto take = [&](Index count) { return arena.take<V>(count); };
  const Index side = std::min(rows, m);
  z_ = take(rows * stride_);
  weighted_ = take(rows * stride_);
  psi_ = take(queries * stride_);
  psi_bar_ = take(queries * stride_);
  roots_ = take(rows);
  alpha_ = take(rows * outputs);
  c_ = take(rows * outputs);
  u_ = take(m * outputs);
  g_ = take(m * outputs);
  v_ = take(queries);
  system_ = take(side * side);
  over_ = take(side);
  solved_ = take(side * queries);
  seen_rows_ = take(rows * queries);
}

void HeadSystem::solve(Index outputs) {
  n_ = outputs;
  const Grid grid = z_grid();
  for (Index row = 0; row < k_; ++row) {
    const V root = roots_[row];
    for (Index i = 0; i < m_; ++i) {
      weighted_[row * stride_ + i] = root * z_[row * stride_ + i];
    }
    for (Index j = 0; j < n_; ++j) alpha_[row * n_ + j] *= root;
  }
  const View<V> z = matrix(weighted_, grid), zt = transpose(weighted_, grid);
  const Index s = side();
  in_blocks(s, [&](Index first, Index end) {  // what is below the diagonal, and a little more
    const Term<V, V> term = by_rows_ ? Term<V, V>{{z.at(first, 0), z.row_step, 1}, zt, m_}
                                     : Term<V, V>{{zt.at(first, 0), 1, zt.column_step}, z, k_};
    multiply(Grid{end - first, end, s}, term, Zero{}, system_ + first * s, Store{});
  });
  for (Index i = 0; i < s; ++i) system_[i * s + i] += broadcast<V>(1);
  factorise();

  const Grid errors{k_, n_, n_}, weights{m_, n_, n_};
  if (by_rows_) {
    divide(alpha_, n_);
    multiply(weights, Term<V, V>{zt, matrix(alpha_, errors), k_}, Zero{}, u_, Store{});
  } else {
    multiply(weights, Term<V, V>{zt, matrix(alpha_, errors), k_}, Zero{}, u_, Store{});
    divide(u_, n_);
    subtract(errors, Term<V, V>{z, matrix(u_, weights), m_}, alpha_);
  }
}

/// Cholesky's, block column after block column.
void HeadSystem::factorise() {
  const Index s = side();
  V* const l = system_;
  in_blocks(s, [&](Index first, Index end) {
    const Index width = end - first;
    subtract(Grid{s - first, width, s},
             Term<V, V>{{l + first * s, s, 1}, {l + first * s, 1, s}, first},
             l + first * s + first);
    for (Index j = first; j < end; ++j) {
      V* const row = l + j * s;
      V pivot = row[j];
      for (Index i = first; i < j; ++i) pivot -= row[i] * row[i];
      const V nan = broadcast<V>(std::numeric_limits<double>::quiet_NaN());
      const V infinite = pivot - pivot;  // NaN, too: 1 / infinity would take the row for no row
      const V root = select(pivot > V{}, math::sqrt(pivot), nan) + infinite;
      row[j] = root;
      over_[j] = broadcast<V>(1) / root;
      for (Index below = j + 1; below < s; ++below) {
        V* const other = l + below * s;
        V sum = other[j];
        for (Index i = first; i < j; ++i) sum -= other[i] * row[i];
        other[j] = sum * over_[j];
      }
    }
  });
}

void HeadSystem::divide(V* x, Index columns) const {
  const Index s = side();
  const V* const l = system_;
  const Grid all{s, columns, columns};
  in_blocks(s, [&](Index first, Index end) {
    V* const here = x + first * columns;
    subtract(Grid{end - first, columns, columns},
             Term<V, V>{{l + first * s, s, 1}, matrix<V>(x, all), first}, here);
    for (Index i = first; i < end; ++i) {
      V* const row = x + i * columns;
      for (Index j = first; j < i; ++j) subtract(row, l[i * s + j], x + j * columns, columns);
      for (Index c = 0; c < columns; ++c) row[c] *= over_[i];
    }
  });
  for (Index first = (s - 1) / kTogether * kTogether; first >= 0; first -= kTogether) {
    const Index end = std::min(first + kTogether, s);
    subtract(Grid{end - first, columns, columns},
             Term<V, V>{{l + end * s + first, 1, s}, {x + end * columns, columns, 1}, s - end},
             x + first * columns);
    for (Index i = end - 1; i >= first; --i) {
      V* const row = x + i * columns;
      for (Index j = i + 1; j < end; ++j) subtract(row, l[j * s + i], x + j * columns, columns);
      for (Index c = 0; c < columns; ++c) row[c] *= over_[i];
    }
  }
}

const Wide* HeadSystem::variances() {
  const View<V> psi = matrix<V>(psi_, psi_grid()), psi_t = transpose<V>(psi_, psi_grid());
  const Grid seen{side(), q_, q_};
  if (by_rows_) {
    const View<V> z = matrix<V>(weighted_, z_grid());
    multiply(seen, Term<V, V>{z, psi_t, m_}, Zero{}, solved_, Store{});
    divide(solved_, q_);
    // A^-1 psi' as psi' - Z'S^-1 Z psi': psi's product with that loses less than the difference of
    // two squares would.
    multiply(psi_grid(), Term<V, V>{transpose<V>(solved_, seen), z, k_}, Zero{}, psi_bar_,
             AddTo<V, V>{psi_, broadcast<V>(-1)});
  } else {
    for (Index i = 0; i < m_; ++i) {
      for (Index q = 0; q < q_; ++q) solved_[i * q_ + q] = *psi.at(q, i);
    }
    divide(solved_, q_);
    for (Index q = 0; q < q_; ++q) {
      for (Index i = 0; i < m_; ++i) psi_bar_[q * stride_ + i] = solved_[i * q_ + q];
    }
  }
  for (Index q = 0; q < q_; ++q) {
    const V *const row = psi_ + q * stride_, *const solved = psi_bar_ + q * stride_;
    V sum{};
    for (Index i = 0; i < m_; ++i) sum += row[i] * solved[i];
    v_[q] = max(sum, V{});
  }
  return v_;
}

void HeadSystem::pull_back_variances(bool rows) {
  if (rows && !by_rows_) {
    multiply(Grid{k_, q_, q_},
             Term<V, V>{matrix<V>(weighted_, z_grid()), matrix<V>(solved_, Grid{m_, q_, q_}), m_},
             Zero{}, seen_rows_, Store{});
  }
  for (Index q = 0; q < q_; ++q) {
    const V factor = v_[q] + v_[q];
    for (Index i = 0; i < m_; ++i) psi_bar_[q * stride_ + i] *= factor;
  }
}

void HeadSystem::pull_back() {
  const View<V> z = matrix<V>(weighted_, z_grid()), zt = transpose<V>(weighted_, z_grid());
  const Grid errors{k_, n_, n_}, weights{m_, n_, n_};
  if (!by_rows_) divide(g_, n_);
  multiply(errors, Term<V, V>{z, matrix<V>(g_, weights), m_}, Zero{}, c_, Store{});
  if (!by_rows_) return;
  divide(c_, n_);  // C = S^-1 Z u, G = u - Z'C
  subtract(weights, Term<V, V>{zt, matrix<V>(c_, errors), k_}, g_);
}

}  // namespace FOMAML_FAST_NAMESPACE::lanes
