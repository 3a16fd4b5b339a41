// How matrices lie in memory for the micro-kernel: as columns of whole vectors.
//
// A packed matrix is cut into panels of one to kPanelVectors vectors of columns; each panel is
// contiguous, its rows one after another, and the last is padded with zeros. The micro-kernel then
// walks memory in one direction, for matrices of any width.
#pragma once

#include <algorithm>
#include <array>

#include "kernels/parts.hpp"
#include "kernels/simd.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// Widest panel: as many vectors as leave registers for a useful number of rows.
inline constexpr int kPanelVectors = kVectorRegisters >= 32 ? 4 : 2;

/// Vectors that hold `n` numbers.
template <class T>
constexpr Index vectors_of(Index n) {
  return (n + kLanes<T> - 1) / kLanes<T>;
}
/// `n` rounded up to whole vectors.
template <class T>
constexpr Index padded(Index n) {
  return vectors_of<T>(n) * kLanes<T>;
}

/// Consecutive vectors of columns.
struct Panel {
  Index first;
  int count;
};

constexpr Index panel_count(Index vectors) { return (vectors + kPanelVectors - 1) / kPanelVectors; }

/// Panel `i` of `vectors` vectors: widths differ by at most one.
constexpr Panel panel_of(Index vectors, Index i) {
  if (vectors <= kPanelVectors) return {0, static_cast<int>(vectors)};  // divisions take their time
  const Parts parts(vectors, kPanelVectors);
  return {parts.first(i), static_cast<int>(parts.length(i))};
}

/// Calls body(panel) for all panels of `vectors` vectors, one after another.
template <class Body>
FOMAML_FAST_INLINE void for_each_panel(Index vectors, Body&& body) {
  if (vectors <= kPanelVectors) return body(panel_of(vectors, 0));
  const Parts parts(vectors, kPanelVectors);
  for (Index i = 0, first = 0; i < parts.count; ++i) {
    const Panel panel{first, static_cast<int>(parts.length(i))};
    body(panel);
    first += panel.count;
  }
}

/// A matrix as columns of vectors: packed in panels, row-major, or one row for all.
template <class T>
struct Columns {
  using Scalar = std::remove_const_t<T>;

  T* data = nullptr;
  Index column_step = 0;  ///< distance of neighbouring panels, per column between them
  Index row_step = 0;     ///< distance of neighbouring rows, where it is the same in every panel
  Index packed = 0;       ///< 1: a panel's rows follow one another

  /// First row of the panel that begins with vector `first`.
  [[nodiscard]] T* panel(Index first) const { return data + first * kLanes<Scalar> * column_step; }
  /// Distance of rows within a panel of `count` vectors.
  [[nodiscard]] Index stride(int count) const { return row_step + packed * count * kLanes<Scalar>; }
  operator Columns<const T>() const { return {data, column_step, row_step, packed}; }
};

template <class T>
Columns<T> row_major(T* data, Index leading_dimension) {
  return {data, 1, leading_dimension, 0};
}
template <class T>
Columns<T> packed_panels(T* data, Index rows) {
  return {data, rows, 0, 1};
}
/// The same row again and again: a bias.
template <class T>
Columns<const T> repeated_row(const T* row) {
  return {row, 1, 0, 0};
}
/// A matrix of zeros, or of ones, of any size.
template <class T>
Columns<const T> zeros() {
  alignas(64) static constexpr T kZeros[kPanelVectors * kLanes<T>]{};
  return {kZeros, 0, 0, 0};
}
template <class T>
Columns<const T> ones() {
  alignas(64) static constexpr auto kOnes = [] {
    std::array<T, kPanelVectors * kLanes<T>> row{};
    row.fill(T(1));
    return row;
  }();
  return {kOnes.data(), 0, 0, 0};
}

/// Numbers in a packed matrix.
template <class T>
constexpr Index packed_size(Index rows, Index columns) {
  return rows * padded<T>(columns);
}

/// memcpy of a few numbers, mostly whole vectors. Calls of memcpy itself would cost more.
template <class T>
FOMAML_FAST_INLINE void copy_numbers(const T* from, Index count, T* to) {
  Index i = 0;
  for (; i + kLanes<T> <= count; i += kLanes<T>) store(to + i, load<Vec<T>>(from + i));
#pragma GCC unroll 1
  for (; i < count; ++i) to[i] = from[i];
}

/// Packs panel `i` of a row-major [rows, columns] matrix.
template <class T>
void copy_to_panel(const T* from, Index rows, Index columns, Index i, T* packed) {
  const Panel panel = panel_of(vectors_of<T>(columns), i);
  const Index left = panel.first * kLanes<T>, width = panel.count * kLanes<T>;
  const Index taken = std::min(width, columns - left);
  T* to = packed + left * rows;
  for (Index r = 0; r < rows; ++r, to += width) {
    copy_numbers(from + r * columns + left, taken, to);
    for (Index c = taken; c < width; ++c) to[c] = T(0);
  }
}

/// Unpacks panel `i` into a row-major [rows, columns] matrix.
template <class T>
void copy_from_panel(const T* packed, Index rows, Index columns, Index i, T* to) {
  const Panel panel = panel_of(vectors_of<T>(columns), i);
  const Index left = panel.first * kLanes<T>, width = panel.count * kLanes<T>;
  const Index taken = std::min(width, columns - left);
  const T* from = packed + left * rows;
  for (Index r = 0; r < rows; ++r, from += width) {
    copy_numbers(from, taken, to + r * columns + left);
  }
}

}  // namespace FOMAML_FAST_NAMESPACE
