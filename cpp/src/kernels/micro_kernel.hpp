// The one kernel behind every matrix product of the fast path.
//
//   C[r][v] = finish(start[r][v] + sum_k A[r * row_step + k * depth_step] * B[k][v])
//
// over a tile of rows x vectors that stays in registers. The two steps of A let the same code serve
// the forward pass (A = H, B = W, start = bias, finish = activation), the gradient on the inputs
// (A = D, B = W', finish = times sigma') and the update of the weights (A = H', B = D, start = W):
// nothing is ever copied into another layout on the way.
#pragma once

#include <utility>

#include "kernels/panels.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// The left operand: any two steps, elements broadcast one by one.
template <class T>
struct Broadcast {
  const T* data;
  Index row_step;
  Index depth_step;
};

template <class T>
struct Product {
  Index rows;
  Index vectors;  ///< of columns, padding included
  Index depth;
  Broadcast<T> a;
  Columns<const T> b;
  Columns<const T> start;
  Columns<T> c;
};

/// The panels of C from `first` to before `last`, as a product of its own. Neighbouring whole
/// panels are cut into the same panels again.
template <class T>
Product<T> some_panels(const Product<T>& p, Index first, Index last) {
  const Index begin = panel_of(p.vectors, first).first;
  const Panel end = panel_of(p.vectors, last - 1);
  Product<T> part = p;
  part.vectors = end.first + end.count - begin;
  part.b.data = p.b.panel(begin);
  part.start.data = p.start.panel(begin);
  part.c.data = p.c.panel(begin);
  return part;
}

/// Rows of the register tile `vectors` wide. Accumulators, one row of B and one broadcast have to
/// fit in the register file. NEON's instructions take no operand from memory, so every broadcast
/// takes a register there.
constexpr int tile_rows(int vectors) {
  constexpr std::array<int, 5> kRows = kVectorRegisters < 32 ? std::array{0, 12, 6, 0, 0}
                                       : kVectorBytes == 64  ? std::array{0, 14, 12, 8, 6}
                                                             : std::array{0, 14, 8, 6, 5};
  return kRows[static_cast<std::size_t>(vectors)];
}

/// A finish turns a sum into the number that is stored. `row` and `vector` count from the place of
/// the tile, and `at` moves that place. `batches` says whether one call computes several tiles. One
/// call per tile is better where the place would have to move from tile to tile, and where the
/// constants of an activation would be kept in registers that the sums need.
struct Store {
  static constexpr bool batches = true;
  [[nodiscard]] Store at(Index /*row*/, Index /*vector*/) const { return *this; }
  template <class V>
  FOMAML_FAST_INLINE V operator()(V sum, int /*row*/, int /*vector*/) const {
    return sum;
  }
};
/// Store, the sum being formed from 0 and added to the start as a whole: what is there already may
/// be a far larger sum.
struct StoreAdded : Store {
  static constexpr bool adds = true;
  [[nodiscard]] StoreAdded at(Index /*row*/, Index /*vector*/) const { return *this; }
};

namespace detail {

template <class T>
struct Tile {
  Index depth;
  const T* a;
  Index a_row, a_depth;
  const T* b;
  Index b_row;
  const T* start;
  Index start_row;
  T* c;
  Index c_row;
};

template <int kVectors, int kRows, class T, class Finish>
FOMAML_FAST_INLINE void compute_tile(const Tile<T>& tile, const T* a, const T* start, T* c,
                                     const Finish& finish) {
  using V = Vec<T>;
  constexpr int kWidth = kLanes<T>;
  constexpr bool kAdds = requires { Finish::adds; };
  const Index c_row = tile.c_row;
  V sum[kRows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      sum[r][v] = kAdds ? V{} : load<V>(start + r * tile.start_row + v * kWidth);
    }
  }
  const T* b = tile.b;
  const Index a_row = tile.a_row, a_depth = tile.a_depth, b_row = tile.b_row;
  for (Index k = tile.depth; k > 0; --k, a += a_depth, b += b_row) {
    V row_of_b[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) row_of_b[v] = load<V>(b + v * kWidth);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const T left = a[r * a_row];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[r][v] += left * row_of_b[v];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      if constexpr (kAdds) sum[r][v] += load<V>(start + r * tile.start_row + v * kWidth);
      store(c + r * c_row + v * kWidth, finish(sum[r][v], r, v));
    }
  }
}

/// `count` tiles on top of each other, the first at a, start and c. One call for all of them, since
/// a call takes as long as a shallow tile.
template <class T, class Finish, int kVectors, int kRows>
[[gnu::noinline]] void compute_pile(const Tile<T>& tile, const T* a, const T* start, T* c,
                                    Index count, const Finish& finish_here) {
  const Finish finish = finish_here;  // in registers: stores to C cannot change it
  while (true) {
    compute_tile<kVectors, kRows>(tile, a, start, c, finish);
    if (!Finish::batches || --count == 0) return;
    a += kRows * tile.a_row;
    start += kRows * tile.start_row;
    c += kRows * tile.c_row;
  }
}

template <class T, class Finish>
using PileFunction = void (*)(const Tile<T>&, const T*, const T*, T*, Index, const Finish&);

/// compute_pile for every number of rows a tile of `kVectors` may have; entry r has r + 1.
template <class T, class Finish, int kVectors, int... kRow>
constexpr auto pile_functions(std::integer_sequence<int, kRow...>) {
  return std::array<PileFunction<T, Finish>, sizeof...(kRow)>{
      &compute_pile<T, Finish, kVectors, kRow + 1>...};
}

/// All rows, in balanced tiles.
template <int kVectors, class T, class Finish>
void multiply_panel(const Tile<T>& tile, Index rows, const Finish& finish, Index first_vector) {
  constexpr int kMost = tile_rows(kVectors);
  static constexpr auto kPiles =
      pile_functions<T, Finish, kVectors>(std::make_integer_sequence<int, kMost>{});
  if (rows <= kMost) {
    return kPiles[static_cast<std::size_t>(rows - 1)](tile, tile.a, tile.start, tile.c, 1,
                                                      finish.at(0, first_vector));
  }
  // These are not members of the tile: numbers that were just written take longer to read.
  const T *a = tile.a, *start = tile.start;
  T* c = tile.c;
  Index done = 0;
  const auto batch = [&](Index height, Index count) {
    const Index taken = height * count;
    kPiles[static_cast<std::size_t>(height - 1)](tile, a, start, c, count,
                                                 finish.at(done, first_vector));
    done += taken;
    a += taken * tile.a_row;
    start += taken * tile.start_row;
    c += taken * tile.c_row;
  };
  const auto batches = [&](Index height, Index count) {
    if constexpr (Finish::batches) {
      if (count > 0) batch(height, count);
    } else {
      for (; count > 0; --count) batch(height, 1);
    }
  };
  const Parts tiles(rows, kMost);
  batches(tiles.size + 1, tiles.longer);
  batches(tiles.size, tiles.count - tiles.longer);
}

template <class T, class Finish>
void multiply_panel(const Tile<T>& tile, Index rows, int vectors, const Finish& finish,
                    Index first_vector) {
  switch (vectors) {
    case 1:
      return multiply_panel<1>(tile, rows, finish, first_vector);
    case 2:
      return multiply_panel<2>(tile, rows, finish, first_vector);
    default:
      if constexpr (kPanelVectors > 2) {
        if (vectors == 3) return multiply_panel<3>(tile, rows, finish, first_vector);
        return multiply_panel<4>(tile, rows, finish, first_vector);
      }
  }
}

/// Longest sum kept in registers at a stretch: B's rows of it fit in the first-level cache beside
/// the tile's rows of A.
constexpr Index longest_stretch(int vectors) {
  constexpr Index kBytes = 24 * 1024;
  constexpr std::array<Index, 5> kDepths{0, kBytes / kVectorBytes, kBytes / (2 * kVectorBytes),
                                         kBytes / (3 * kVectorBytes), kBytes / (4 * kVectorBytes)};
  return kDepths[static_cast<std::size_t>(vectors)];
}

/// Panel `panel` of a product, all rows and the whole depth.
template <class T>
Tile<T> tile_of(const Product<T>& p, const Panel& panel) {
  return {p.depth,
          p.a.data,
          p.a.row_step,
          p.a.depth_step,
          p.b.panel(panel.first),
          p.b.stride(panel.count),
          p.start.panel(panel.first),
          p.start.stride(panel.count),
          p.c.panel(panel.first),
          p.c.stride(panel.count)};
}

/// One panel of columns after another, all rows of each.
template <class T, class Finish>
void multiply_panels(const Product<T>& p, const Finish& finish) {
  for_each_panel(p.vectors, [&](Panel panel) {
    Tile<T> tile = tile_of(p, panel);
    if (const Index longest = longest_stretch(panel.count); p.depth > longest) {
      // All but the last of several equal stretches leave plain sums in C.
      const Index stretches = (p.depth + longest - 1) / longest;
      for (Index s = stretches; s > 1; --s) {
        Tile<T> part = tile;
        part.depth = tile.depth / s;
        multiply_panel(part, p.rows, panel.count, Store{}, panel.first);
        tile.depth -= part.depth;
        tile.a += part.depth * tile.a_depth;
        tile.b += part.depth * tile.b_row;
        tile.start = tile.c;
        tile.start_row = tile.c_row;
      }
    }
    multiply_panel(tile, p.rows, panel.count, finish, panel.first);
  });
}

// A row-major matrix that does not stay in the cache is walked a few rows at a time, over all of
// their columns. A panel from top to bottom would touch one line of every row, each in a page of
// its own, and the next panel would find the neighbours of these lines gone from the cache.
// Hardware prefetchers do not follow several rows of a page, so the next rows are prefetched one
// turn ahead. The matrix that every turn goes over again, C or B, has to stay in the first-level
// cache.

inline constexpr Index kStreamedBytes = 256 * 1024;
inline constexpr Index kStayingBytes = 16 * 1024;
inline constexpr Index kStreamedRows = 8;

template <class T>
bool is_streamed(const Columns<T>& matrix, Index rows, Index vectors) {
  return matrix.packed == 0 && matrix.row_step >= vectors * kLanes<std::remove_const_t<T>> &&
         rows * vectors * kVectorBytes >= kStreamedBytes;
}
inline bool stays(Index rows, Index vectors) {
  return rows * vectors * kVectorBytes <= kStayingBytes;
}

/// Prefetches the next rows of a matrix, line after line as they lie in memory, so that the
/// processor's own prefetcher sees a stream.
template <bool kWritten, class T>
class Ahead {
 public:
  Ahead(const T* first, Index row_step, Index rows, Index vectors)
      : row_(first), at_(first), row_step_(row_step), rows_(rows), width_(vectors * kLanes<T>) {}

  /// Prefetches as many lines as `panel` has in these rows.
  FOMAML_FAST_INLINE void ask(const Panel& panel, Index rows) {
    constexpr Index kStep = kLineBytes / static_cast<Index>(sizeof(T));
    for (Index i = rows * panel.count * kLanes<T>; i > 0 && rows_ > 0; i -= kStep) {
      __builtin_prefetch(at_, kWritten);
      at_ += kStep;
      if (at_ - row_ < width_) continue;
      at_ = row_ += row_step_;
      --rows_;
    }
  }

 private:
  const T *row_, *at_;
  Index row_step_, rows_, width_;
};

/// The product, a few rows of B at a time.
template <class T, class Finish>
void stream_right(Product<T> p, const Finish& finish) {
  while (true) {
    Product<T> part = p;
    part.depth = std::min(kStreamedRows, p.depth);
    const Index left = p.depth - part.depth;
    const Index next = std::min(kStreamedRows, left);
    Ahead<false, T> ahead(p.b.data + part.depth * p.b.row_step, p.b.row_step, next, p.vectors);
    for_each_panel(p.vectors, [&](Panel panel) {
      const Tile<T> tile = tile_of(part, panel);
      ahead.ask(panel, next);
      if (left > 0) {
        multiply_panel(tile, p.rows, panel.count, Store{}, panel.first);
      } else {
        multiply_panel(tile, p.rows, panel.count, finish, panel.first);
      }
    });
    if (left == 0) return;
    p.a.data += part.depth * p.a.depth_step;
    p.b.data += part.depth * p.b.row_step;
    p.start = p.c;
    p.depth = left;
  }
}

/// The product, the rows of one tile of C at a time.
template <class T, class Finish>
void stream_result(Product<T> p, const Finish& finish) {
  constexpr Index kMost = tile_rows(kPanelVectors);
  const Index all = p.rows;
  for (Index done = 0; done < all; done += p.rows) {
    p.rows = std::min(kMost, all - done);
    const Index next = std::min(kMost, all - done - p.rows);
    Ahead<true, T> ahead(p.c.data + p.rows * p.c.row_step, p.c.row_step, next, p.vectors);
    for_each_panel(p.vectors, [&](Panel panel) {
      const Tile<T> tile = tile_of(p, panel);
      ahead.ask(panel, next);
      multiply_panel(tile, p.rows, panel.count, finish.at(done, 0), panel.first);
    });
    p.a.data += p.rows * p.a.row_step;
    p.start.data += p.rows * p.start.row_step;
    p.c.data += p.rows * p.c.row_step;
  }
}

}  // namespace detail

/// Computes the product; C may be where `start` is.
template <class T, class Finish>
void multiply(const Product<T>& p, const Finish& finish) {
  if (p.vectors <= kPanelVectors &&
      p.depth <= detail::longest_stretch(static_cast<int>(p.vectors))) {
    // The tests below would take a noticeable share of small products.
    const Panel only{0, static_cast<int>(p.vectors)};
    detail::multiply_panel(detail::tile_of(p, only), p.rows, only.count, finish, 0);
  } else if (detail::stays(p.rows, p.vectors) && detail::is_streamed(p.b, p.depth, p.vectors)) {
    detail::stream_right(p, finish);
  } else if (detail::stays(p.depth, p.vectors) && detail::is_streamed(p.c, p.rows, p.vectors) &&
             p.start.packed == 0) {
    detail::stream_result(p, finish);
  } else {
    detail::multiply_panels(p, finish);
  }
}

}  // namespace FOMAML_FAST_NAMESPACE
