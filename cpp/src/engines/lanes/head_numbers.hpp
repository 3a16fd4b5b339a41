// What heads in closed form have learned, for one call, and the products with it: all lanes share
// these numbers.
#pragma once

#include "engines/lanes/row_sums.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

/// Rows of features: what the last layer is fed, [rows, m - 1], and a 1 behind that is not stored.
template <class V>
struct FeatureRows {
  const V* h;
  Grid grid;
};

/// phi' b [m, n], for b [rows, n].
template <class V>
void features_times(const FeatureRows<V>& phi, const V* b, Index n, V* to) {
  const Grid out{phi.grid.rows, n, n};
  multiply(Grid{phi.grid.width, n, n},
           Term<V, V>{transpose(phi.h, phi.grid), matrix(b, out), out.rows}, Zero{}, to, Store{});
  column_sums(b, out, kFewTerms, to + phi.grid.width * n, Store{});
}

/// V's factor R, a diagonal or lower triangular; the noise; scale and shift of scores.
template <class T>
class HeadNumbers {
 public:
  using V = Vec<T>;

  HeadNumbers(const Problem& problem, const T* numbers, Arena& arena)
      : spec_(problem.algorithm.head),
        m_(problem.net.features()),
        n_(problem.net.outputs()),
        full_(spec_.prior == inner::Prior::full) {
    r_ = arena.take<T>(full_ ? m_ * m_ : m_);
    noise_ = arena.take<T>(n_);
    if (arena.counting()) return;
    read_factor(numbers);
    numbers += spec_.n_factor(m_);
    for (Index j = 0; j < n_; ++j) noise_[j] = std::exp(numbers[j]);
    if (!spec_.scores()) return;
    scale = numbers[n_];
    shift = numbers[n_ + 1];
  }

  [[nodiscard]] const inner::HeadSpec& spec() const { return spec_; }
  [[nodiscard]] Index features() const { return m_; }
  [[nodiscard]] Index outputs() const { return n_; }
  /// Of matrices [rows, m]: the distance of their rows.
  [[nodiscard]] Index stride() const { return row_stride(m_); }
  [[nodiscard]] T noise(Index j) const { return noise_[j]; }
  T scale = 1, shift = 0;

  /// to [rows, m] = phi R.
  void times(const FeatureRows<V>& phi, V* to) const {
    const Grid& in = phi.grid;
    if (!full_) {
      for (Index row = 0; row < in.rows; ++row) {
        const V* const h = phi.h + row * in.stride;
        V* const out = to + row * stride();
        for (Index i = 0; i < in.width; ++i) out[i] = h[i] * r_[i];
        out[in.width] = broadcast<V>(r_[in.width]);
      }
      return;
    }
    for_columns(m_, [&](Index first, Index end) {
      const Term<V, T> term{
          {phi.h + first, in.stride, 1}, {at(first, first), m_, 1}, in.width - first};
      multiply(Grid{in.rows, end - first, stride()}, term, Row<T>{at(in.width, first)}, to + first,
               Store{});
    });
  }

  /// to = x R' + a b' without the last column, for x [rows, m] (null: 0), a [rows, n], b [m, n].
  void times_transposed(const V* x, const V* a, const V* b, const Grid& grid, V* to) const {
    const auto by_b = [&](Index first) {
      return Term<V, V>{{a, n_, 1}, {b + first * n_, 1, n_}, n_};
    };
    if (x == nullptr) return multiply(grid, by_b(0), Zero{}, to, Store{});
    if (!full_) {
      for (Index row = 0; row < grid.rows; ++row) {
        for (Index i = 0; i < grid.width; ++i) {
          to[row * grid.stride + i] = x[row * stride() + i] * r_[i];
        }
      }
      return multiply(grid, by_b(0), From<V>{to}, to, Store{});
    }
    for_columns(grid.width, [&](Index first, Index end) {
      const Term<V, T> term{{x, stride(), 1}, {at(first, 0), 1, m_}, end};
      multiply(Grid{grid.rows, end - first, grid.stride}, term, by_b(first), Zero{}, to + first);
    });
  }

  /// to [n, m] = (R b)', for b [m, n].
  void times_columns(const V* b, V* to) const {
    if (!full_) {
      for (Index j = 0; j < n_; ++j) {
        for (Index i = 0; i < m_; ++i) to[j * m_ + i] = b[i * n_ + j] * r_[i];
      }
      return;
    }
    for_columns(m_, [&](Index first, Index end) {
      const Term<V, T> term{{b, 1, n_}, {at(first, 0), 1, m_}, end};
      multiply(Grid{n_, end - first, m_}, term, Zero{}, to + first, Store{});
    });
  }
  /// to [n, m] = (R' b)', for b [m, n].
  void transposed_times_columns(const V* b, V* to) const {
    if (!full_) return times_columns(b, to);
    for_columns(m_, [&](Index first, Index end) {
      const Term<V, T> term{{b + first * n_, 1, n_}, {at(first, first), m_, 1}, m_ - first};
      multiply(Grid{n_, end - first, m_}, term, Zero{}, to + first, Store{});
    });
  }

  /// The gradient on the numbers of R, where that on R is a b' + phi' x, for a and b [m, n] and x
  /// [rows, m]. `scratch` is [m, m].
  void gradient(const V* a, const V* b, const FeatureRows<V>& phi, const V* x, V* scratch,
                V* to) const {
    if (!full_) return diagonal_gradient(a, b, phi, x, to);
    const Index rows = phi.grid.rows;
    for_columns(m_, [&](Index first, Index end) {
      V* const c = scratch + first * m_ + first;
      const Term<V, V> by_b{{a + first * n_, n_, 1}, {b + first * n_, 1, n_}, n_};
      const Term<V, V> by_x{{phi.h + first, 1, phi.grid.stride}, {x + first, stride(), 1}, rows};
      const Index width = end - first, above = m_ - 1 - first;  // the last feature is not stored
      multiply(Grid{above, width, m_}, by_x, by_b, Zero{}, c);
      multiply(Grid{1, width, m_}, Term<V, V>{{a + (m_ - 1) * n_, n_, 1}, by_b.b, n_}, Zero{},
               c + above * m_, Store{});
    });
    V* const last = scratch + (m_ - 1) * m_;
    column_sums(x, Grid{rows, m_, stride()}, kFewTerms, last, AddTo<V, V>{last, broadcast<V>(1)});
    for (Index row = 0; row < m_; ++row, scratch += m_) {
      to = std::copy_n(scratch, row, to);
      *to++ = scratch[row] * *at(row, row);
    }
  }

 private:
  [[nodiscard]] const T* at(Index row, Index column) const { return r_ + row * m_ + column; }

  /// Calls body(first, end) for groups of columns, each of which leaves out most of the zeros above
  /// the diagonal.
  template <class Body>
  static void for_columns(Index count, Body&& body) {
    constexpr Index kTogether = 2 * detail::kTileColumns;
    for (Index first = 0; first < count; first += kTogether) {
      body(first, std::min(first + kTogether, count));
    }
  }

  void read_factor(const T* from) {
    if (!full_) {
      const bool one = spec_.prior == inner::Prior::scalar;
      for (Index i = 0; i < m_; ++i) r_[i] = std::exp(from[one ? 0 : i]);
      return;
    }
    for (Index row = 0; row < m_; ++row) {
      T* const to = r_ + row * m_;
      std::copy_n(from, row, to);
      to[row] = std::exp(from[row]);
      std::fill(to + row + 1, to + m_, T(0));
      from += row + 1;
    }
  }

  void diagonal_gradient(const V* a, const V* b, const FeatureRows<V>& phi, const V* x,
                         V* to) const {
    const bool shared = spec_.prior == inner::Prior::scalar;
    const Grid& in = phi.grid;
    V total{};
    for (Index i = 0; i < m_; ++i) {
      const V* const h = i < in.width ? phi.h + i : nullptr;
      V sum = sum_of<V>(in.rows, [&](Index row) {
        const V of_row = x[row * stride() + i];
        return h == nullptr ? of_row : h[row * in.stride] * of_row;
      });
      for (Index j = 0; j < n_; ++j) sum += a[i * n_ + j] * b[i * n_ + j];
      sum *= r_[i];
      if (!shared) to[i] = sum;
      total += sum;
    }
    if (shared) *to = total;
  }

  inner::HeadSpec spec_;
  Index m_, n_;
  bool full_;
  T *r_ = nullptr, *noise_ = nullptr;
};

}  // namespace FOMAML_FAST_NAMESPACE::lanes
