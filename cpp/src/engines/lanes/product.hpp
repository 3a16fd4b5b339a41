// Matrix products whose every element is a pack.
//
//   C[r][c] = finish(start[c] + sum_k A[r][k] B[k][c] (+ sum_k A'[r][k] B'[k][c]))
//
// over a tile of rows x columns that stays in registers. A and B are strided views, so that the
// forward pass (A = H, B = W), the gradient on the inputs (A = D, B = W') and that on the weights
// (A = H', B = D) are the same code, and no transpose is ever formed. B holds packs, or scalars
// that all lanes share: parameters before the first step.
#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include "engines/lanes/grid.hpp"
#include "kernels/parts.hpp"
#include "kernels/simd.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

/// A strided matrix.
template <class E>
struct View {
  const E* data;
  Index row_step;
  Index column_step;

  [[nodiscard]] const E* at(Index row, Index column) const {
    return data + row * row_step + column * column_step;
  }
};

/// A [rows, depth] times B [depth, columns].
template <class V, class B>
struct Term {
  View<V> a;
  View<B> b;
  Index depth;
};

template <class V, class B>
FOMAML_FAST_INLINE V pack_at(const B* place) {
  if constexpr (std::is_same_v<B, V>) {
    return *place;
  } else {
    // A plain broadcast: x - 0 is x, the sign of 0 included, so no subtraction is left of it.
    return *place - V{};
  }
}

// Starts: the number that a sum begins with. `row` is the offset of C's row.

struct Zero {
  template <class V>
  FOMAML_FAST_INLINE V at(Index /*row*/, Index /*column*/) const {
    return V{};
  }
};

/// A matrix that lies as C does, such as C itself.
template <class B>
struct From {
  const B* data;
  template <class V>
  FOMAML_FAST_INLINE V at(Index row, Index column) const {
    return pack_at<V>((data + row) + column);
  }
};

/// The same row everywhere: a bias.
template <class B>
struct Row {
  const B* data;
  template <class V>
  FOMAML_FAST_INLINE V at(Index /*row*/, Index column) const {
    return pack_at<V>(data + column);
  }
};

// Finishes: they turn a sum into the number that is stored in C. Other matrices have C's layout,
// and `row` is the offset of C's row. `batches` says whether one call computes several tiles. One
// call per tile is better where the constants of an activation would be kept in registers that the
// sums need.

struct Store {
  static constexpr bool batches = true;
  template <class V>
  FOMAML_FAST_INLINE V operator()(V sum, Index /*row*/, Index /*column*/) const {
    return sum;
  }
};

/// sigma(sum): for activations of an instruction or two.
template <class Activation>
struct Activate {
  static constexpr bool batches = false;
  [[no_unique_address]] Activation activation;
  template <class V>
  FOMAML_FAST_INLINE V operator()(V sum, Index /*row*/, Index /*column*/) const {
    return activation.apply(sum);
  }
};

/// sum * sigma'(h).
template <class Activation, class V>
struct TimesSlope {
  static constexpr bool batches = false;
  [[no_unique_address]] Activation activation;
  const V* h;
  FOMAML_FAST_INLINE V operator()(V sum, Index row, Index column) const {
    return sum * activation.d1((h + row)[column]);
  }
};

/// from + factor * sum.
template <class V, class B>
struct AddTo {
  static constexpr bool batches = true;
  const B* from;
  V factor;
  FOMAML_FAST_INLINE V operator()(V sum, Index row, Index column) const {
    return pack_at<V>((from + row) + column) + factor * sum;
  }
};

namespace detail {

// Registers: the tile, a row of B's packs, and one pack of A. At least 8 sums hide the latency of
// two FMA pipes. For NEON, GCC loads several packs of A ahead.
inline constexpr int kTileColumns = kVectorRegisters >= 32 ? 5 : 3;
inline constexpr auto kTileRows = kVectorRegisters < 32 ? std::array{0, 8, 6, 4, 0, 0}
                                  : kVectorBytes == 64  ? std::array{0, 8, 8, 8, 6, 5}
                                                        : std::array{0, 8, 8, 7, 5, 4};

struct NoTerm {};

template <class V, class B, class Second, class Start, class Finish>
struct Work {
  static constexpr bool batches = Finish::batches;
  Term<V, B> first;
  Second second;
  Start start;
  V* c;
  Index c_step;
  Finish finish;
};

template <int kRows, int kColumns, class V, class B>
FOMAML_FAST_INLINE void accumulate(const Term<V, B>& term, Index row, Index column,
                                   V (&sum)[kRows][kColumns]) {
  const V* __restrict a = term.a.at(row, 0);
  const B* __restrict b = term.b.at(0, column);
  const Index a_row = term.a.row_step, a_depth = term.a.column_step;
  const Index b_column = term.b.column_step, b_depth = term.b.row_step;
  for (Index k = term.depth; k > 0; --k, a += a_depth, b += b_depth) {
    V right[kColumns];
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) right[c] = pack_at<V>(b + c * b_column);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const V left = a[r * a_row];
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) sum[r][c] += left * right[c];
    }
  }
}

template <int kRows, int kColumns, class V, class B, class Second, class Start, class Finish>
FOMAML_FAST_INLINE void compute_tile(const Work<V, B, Second, Start, Finish>& work, Index row,
                                     Index column) {
  V sum[kRows][kColumns];
  Index place = row * work.c_step;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      sum[r][c] = work.start.template at<V>(place + r * work.c_step, column + c);
    }
  }
  accumulate(work.first, row, column, sum);
  if constexpr (!std::is_same_v<Second, NoTerm>) accumulate(work.second, row, column, sum);
  place += column;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r, place += work.c_step) {
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      (work.c + place)[c] = work.finish(sum[r][c], place, c);
    }
  }
}

/// `count` tiles on top of each other. One call for all of them, since a call takes as long as a
/// shallow tile.
template <int kRows, int kColumns, class V, class B, class Second, class Start, class Finish>
[[gnu::noinline]] void compute_pile(const Work<V, B, Second, Start, Finish>& work, Index row,
                                    Index column, Index count) {
  if constexpr (Finish::batches) {
    for (; count > 0; --count, row += kRows) compute_tile<kRows, kColumns>(work, row, column);
  } else {
    compute_tile<kRows, kColumns>(work, row, column);
  }
}

template <class Work>
using TileBatch = void (*)(const Work&, Index row, Index column, Index count);

/// compute_pile for every height a tile `kColumns` wide may have; entry r is r + 1 high.
template <int kColumns, class Work>
inline constexpr auto kPiles = []<int... kRow>(std::integer_sequence<int, kRow...>) {
  return std::array<TileBatch<Work>, sizeof...(kRow)>{&compute_pile<kRow + 1, kColumns>...};
}(std::make_integer_sequence<int, kTileRows[kColumns]>{});

/// For every width; entry c is c + 1 wide.
template <class Work>
inline constexpr auto kBatchesByWidth = []<int... kColumn>(std::integer_sequence<int, kColumn...>) {
  return std::array<const TileBatch<Work>*, sizeof...(kColumn)>{
      kPiles<kColumn + 1, Work>.data()...};
}(std::make_integer_sequence<int, kTileColumns>{});

/// `count` panels of columns, each `width` wide and cut into the same tiles.
template <class Work>
void compute_panels(const Work& work, Index rows, Index column, Index width, Index count) {
  if (count == 0) return;
  const std::size_t w = static_cast<std::size_t>(width);
  const TileBatch<Work>* const batches = kBatchesByWidth<Work>[w - 1];
  const Parts parts(rows, kTileRows[w]);
  const auto batch = [&](Index row, Index height, Index tiles) {
    if constexpr (Work::batches) {
      if (tiles > 0) batches[height - 1](work, row, column, tiles);
    } else {
      for (; tiles > 0; --tiles, row += height) batches[height - 1](work, row, column, 1);
    }
  };
  for (; count > 0; --count, column += width) {
    batch(0, parts.size + 1, parts.longer);
    batch(parts.longer * (parts.size + 1), parts.size, parts.count - parts.longer);
  }
}

template <class Work>
void compute(const Work& work, Index rows, Index columns) {
  const Parts parts(columns, kTileColumns);
  compute_panels(work, rows, 0, parts.size + 1, parts.longer);
  compute_panels(work, rows, parts.longer * (parts.size + 1), parts.size,
                 parts.count - parts.longer);
}

}  // namespace detail

/// C, which lies as `grid` says, from one term.
template <class V, class B, class Start, class Finish>
void multiply(const Grid& grid, const Term<V, B>& term, const Start& start, V* c,
              const Finish& finish) {
  using Work = detail::Work<V, B, detail::NoTerm, Start, Finish>;
  detail::compute(Work{term, {}, start, c, grid.stride, finish}, grid.rows, grid.width);
}

/// C from two terms. One pass over C computes both, unless the panels of two B's would throw A out
/// of the first-level cache at every turn. The sums are the same either way.
template <class V, class B, class Start>
void multiply(const Grid& grid, const Term<V, B>& first, const Term<V, V>& second,
              const Start& start, V* c) {
  // A third of 48 KB: measured from 8 to 96 wide (docs/notebook.md).
  constexpr Index kPanelBytes = 16 * 1024;
  const Index width = std::min<Index>(detail::kTileColumns, grid.width);
  if ((first.depth + second.depth) * width * kVectorBytes > kPanelBytes) {
    multiply(grid, first, start, c, Store{});
    return multiply(grid, second, From<V>{c}, c, Store{});
  }
  using Work = detail::Work<V, B, Term<V, V>, Start, Store>;
  detail::compute(Work{first, second, start, c, grid.stride, {}}, grid.rows, grid.width);
}

}  // namespace FOMAML_FAST_NAMESPACE::lanes
