// Products that sum over many rows: C = start + A B, where B's rows may be millions.
//
// The micro-kernel adds one row after another to a sum that grows. Here every block of rows is
// added up from 0, blocks are added to a run, and runs are added with their rounding errors made
// good (compensated.hpp), in buffers as large as C.
#pragma once

#include "base/arena.hpp"
#include "base/watch.hpp"
#include "kernels/compensated.hpp"
#include "kernels/micro_kernel.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// Buffers for products of up to so many numbers; none where no sum is long.
template <class T>
struct LongSums {
  T *run = nullptr, *sum = nullptr, *error = nullptr;

  static LongSums carve(Index numbers, Arena& arena) {
    return {arena.take<T>(numbers), arena.take<T>(numbers), arena.take<T>(numbers)};
  }
  /// Of a product's panels from vector `first` on.
  [[nodiscard]] LongSums from(Index rows, Index first) const {
    const Index place = rows * first * kLanes<T>;
    return {run + place, sum + place, error + place};
  }
};

namespace detail {

// Rows of a block: fewer would have the tiles wait for memory. Blocks of a run: as many lose
// little, and make the third buffer's turn rare.
inline constexpr Index kBlockRows = 2 * kBlockTerms, kRunRows = 8 * kBlockRows;

/// sum = A B over the whole depth, in the packed buffers of one panel; returns where it is. Between
/// runs the caller may stop it.
template <class T>
T* sum_panel(Tile<T> tile, Index rows, int vectors, const LongSums<T>& buffers) {
  const Index width = vectors * kLanes<T>, size = rows * width;
  const Index depth = tile.depth;
  tile.c = buffers.run;
  tile.c_row = width;
  Watch& watch = Watch::of_thread();
  for (Index done = 0; done < depth && !watch.stopped(2 * kRunRows * size);) {
    const Index end = std::min(depth, done + kRunRows);
    for (bool first = true; done < end; first = false) {
      tile.depth = std::min(kBlockRows, end - done);
      tile.start = first ? zeros<T>().data : buffers.run;
      tile.start_row = first ? 0 : width;
      multiply_panel(tile, rows, vectors, StoreAdded{}, 0);
      tile.a += tile.depth * tile.a_depth;
      tile.b += tile.depth * tile.b_row;
      done += tile.depth;
    }
    if (depth <= kRunRows) return buffers.run;
    if (end <= kRunRows) {
      std::copy_n(buffers.run, size, buffers.sum);
      std::fill_n(buffers.error, size, T(0));
      continue;
    }
    for (Index i = 0; i < size; i += kLanes<T>) {
      Vec<T> sum = load<Vec<T>>(buffers.sum + i), error = load<Vec<T>>(buffers.error + i);
      add_compensated(load<Vec<T>>(buffers.run + i), sum, error);
      store(buffers.sum + i, sum);
      store(buffers.error + i, error);
    }
  }
  return buffers.sum;
}

}  // namespace detail

/// C = start + A B; C may be where `start` is.
template <class T>
void multiply_long(const Product<T>& p, const LongSums<T>& buffers) {
  for_each_panel(p.vectors, [&](Panel panel) {
    const detail::Tile<T> tile = detail::tile_of(p, panel);
    const T* sum = detail::sum_panel(tile, p.rows, panel.count, buffers.from(p.rows, panel.first));
    for (Index row = 0; row < p.rows; ++row) {
      for (Index i = 0; i < panel.count * kLanes<T>; i += kLanes<T>, sum += kLanes<T>) {
        store(tile.c + row * tile.c_row + i,
              load<Vec<T>>(tile.start + row * tile.start_row + i) + load<Vec<T>>(sum));
      }
    }
  });
}

}  // namespace FOMAML_FAST_NAMESPACE
