// Transposes in registers: log2(lanes) rounds of shuffles.
#pragma once

#include <utility>

#include "kernels/panels.hpp"

namespace FOMAML_FAST_NAMESPACE {

namespace detail {

/// One half of exchanging, between rows a and b, the lanes whose index has the bit `kBit`.
template <int kBit, bool kUpper, class V, int... kLane>
FOMAML_FAST_INLINE V exchange(V a, V b, std::integer_sequence<int, kLane...>) {
  constexpr int kWidth = sizeof...(kLane);
  constexpr int kShift = kUpper ? kBit : 0;
  return __builtin_shufflevector(
      a, b, ((kLane & kBit) == 0 ? kLane + kShift : kWidth + kLane + kShift - kBit)...);
}

template <int kBit, class V>
FOMAML_FAST_INLINE void exchange_rows(V* rows) {
  constexpr int kWidth = kLanes<Element<V>>;
  constexpr auto kEach = std::make_integer_sequence<int, kWidth>{};
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; ++i) {
    if ((i & kBit) != 0) continue;
    const V a = rows[i], b = rows[i + kBit];
    rows[i] = exchange<kBit, false>(a, b, kEach);
    rows[i + kBit] = exchange<kBit, true>(a, b, kEach);
  }
  if constexpr (2 * kBit < kWidth) exchange_rows<2 * kBit>(rows);
}

}  // namespace detail

/// Transposes the square matrix of kLanes packs.
template <class V>
FOMAML_FAST_INLINE void transpose_square(V* rows) {
  detail::exchange_rows<1>(rows);
}

/// Reads a row-major [rows, columns] matrix as packs whose lanes are rows: pack c, at `packs` +
/// c * pack_stride, holds column c. `rows` is 1 to kLanes; lanes beyond repeat the first row,
/// so that a loss meets ordinary numbers there. Nothing beyond `rows * stride` numbers is read.
template <class T>
void gather_columns(const T* from, Index stride, Index rows, Index columns, T* packs,
                    Index pack_stride) {
  using V = Vec<T>;
  constexpr int kWidth = kLanes<T>;
  for (Index left = 0; left < columns; left += kWidth) {
    const Index taken = std::min<Index>(kWidth, columns - left);
    V square[kWidth]{};  // unrolled loops keep it in registers
#pragma GCC unroll 16
    for (int i = 0; i < kWidth; ++i) {
      if (i >= rows) {
        square[i] = square[0];
        continue;
      }
      const T* place = from + i * stride + left;
      if (i * stride + left + kWidth <= rows * stride) {
        square[i] = load<V>(place);
      } else {
        T part[kWidth]{};
        for (Index c = 0; c < taken; ++c) part[c] = place[c];
        square[i] = load<V>(part);
      }
    }
    transpose_square(square);
#pragma GCC unroll 16
    for (int c = 0; c < kWidth; ++c) {
      if (c < taken) store(packs + (left + c) * pack_stride, square[c]);
    }
  }
}

template <class T>
void gather_columns(const T* from, Index stride, Index rows, Index columns, Vec<T>* packs) {
  gather_columns(from, stride, rows, columns, reinterpret_cast<T*>(packs), kLanes<T>);
}

/// Packs the transpose of a row-major [rows, columns] matrix. Lanes beyond `rows` are not 0, but
/// copies of the first row of their vector.
template <class T>
void pack_transposed(const T* from, Index rows, Index columns, T* packed) {
  constexpr Index kWidth = kLanes<T>;
  const Index vectors = vectors_of<T>(rows);
  const Columns<T> to = packed_panels(packed, columns);
  for (Index p = 0; p < panel_count(vectors); ++p) {
    const Panel panel = panel_of(vectors, p);
    for (int v = 0; v < panel.count; ++v) {
      const Index first = (panel.first + v) * kWidth;
      gather_columns(from + first * columns, columns, std::min(kWidth, rows - first), columns,
                     to.panel(panel.first) + v * kWidth, to.stride(panel.count));
    }
  }
}

/// The inverse, into rows padded to whole vectors; the padding becomes 0.
template <class T>
void scatter_columns(const Vec<T>* packs, Index rows, Index columns, T* to, Index stride) {
  using V = Vec<T>;
  constexpr int kWidth = kLanes<T>;
  for (Index left = 0; left < columns; left += kWidth) {
    V square[kWidth];
#pragma GCC unroll 16
    for (int i = 0; i < kWidth; ++i) square[i] = left + i < columns ? packs[left + i] : V{};
    transpose_square(square);
#pragma GCC unroll 16
    for (int i = 0; i < kWidth; ++i) {
      if (i < rows) store(to + i * stride + left, square[i]);
    }
  }
}

/// Transposes the columns of panel `i` of a [rows, columns] matrix into rows of `to`,
/// [columns, rows] with rows padded to whole vectors.
template <class T>
void transpose_panel(Columns<const T> from, Index rows, Index columns, Index i, Columns<T> to) {
  using V = Vec<T>;
  constexpr int kWidth = kLanes<T>;
  const Panel source = panel_of(vectors_of<T>(columns), i);
  const Index source_stride = from.stride(source.count);
  const Index target_vectors = vectors_of<T>(rows);
  for (Index p = 0; p < panel_count(target_vectors); ++p) {
    const Panel target = panel_of(target_vectors, p);
    const Index target_stride = to.stride(target.count);
    for (int u = 0; u < target.count; ++u) {
      const Index top = (target.first + u) * kWidth;
      const Index height = std::min<Index>(kWidth, rows - top);
      for (int v = 0; v < source.count; ++v) {
        const Index left = (source.first + v) * kWidth;
        const Index width = std::min<Index>(kWidth, columns - left);
        const T* in = from.panel(source.first) + top * source_stride + v * kWidth;
        T* out = to.panel(target.first) + left * target_stride + u * kWidth;
        V square[kWidth];
        if (height == kWidth && width == kWidth) {
#pragma GCC unroll 16
          for (int r = 0; r < kWidth; ++r) square[r] = load<V>(in + r * source_stride);
          transpose_square(square);
#pragma GCC unroll 16
          for (int r = 0; r < kWidth; ++r) store(out + r * target_stride, square[r]);
        } else {
          for (int r = 0; r < kWidth; ++r) {
            square[r] = r < height ? load<V>(in + r * source_stride) : V{};
          }
          transpose_square(square);
          for (Index r = 0; r < width; ++r) store(out + r * target_stride, square[r]);
        }
      }
    }
  }
}

template <class T>
void transpose(Columns<const T> from, Index rows, Index columns, Columns<T> to) {
  for (Index i = 0; i < panel_count(vectors_of<T>(columns)); ++i) {
    transpose_panel(from, rows, columns, i, to);
  }
}

}  // namespace FOMAML_FAST_NAMESPACE
