#include "engines/lanes/lane_rows.hpp"

#include "kernels/transpose.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

namespace {

template <class V>
void clear_where_zero(V coefficient, Index count, V* packs) {
  for (Index i = 0; i < count; ++i) packs[i] = select(coefficient == V{}, V{}, packs[i]);
}

/// Calls body(left) for squares of lanes x lanes numbers, the first number of each lane being
/// `left`. A square counts only if all lanes but the empty ones have its numbers. Returns how many
/// of the first `length` numbers the squares cover. The last square overlaps the one before it if
/// both then cover everything.
template <class E, class Body>
FOMAML_FAST_INLINE Index in_squares(const LaneArrays<E>& arrays, Index length, Body&& body) {
  Index common = length;
  for (std::size_t lane = 0; lane < arrays.kWidth; ++lane) {
    if (arrays.data[lane] != nullptr) common = std::min(common, arrays.count[lane]);
  }
  const Index width = static_cast<Index>(arrays.kWidth);
  Index left = 0;
  for (; left + width <= common; left += width) body(left);
  if (common < length || length < width) return left;
  if (left < length) body(length - width);
  return length;
}

/// Lane i of packs[0] becomes the sum of all lanes of packs[i]: log2(lanes) rounds, each of half as
/// many additions as the one before. The other packs are scratch.
template <int kBit, class V>
FOMAML_FAST_INLINE void fold(V* packs) {
  constexpr int kWidth = kLanes<Element<V>>;
  constexpr auto kEach = std::make_integer_sequence<int, kWidth>{};
#pragma GCC unroll 8
  for (int i = 0; i < kWidth / (2 * kBit); ++i) {
    const V a = packs[2 * i], b = packs[2 * i + 1];
    packs[i] = FOMAML_FAST_NAMESPACE::detail::exchange<kBit, false>(a, b, kEach) +
               FOMAML_FAST_NAMESPACE::detail::exchange<kBit, true>(a, b, kEach);
  }
  if constexpr (2 * kBit < kWidth) fold<2 * kBit>(packs);
}

/// A square: numbers `first` and following of all lanes, one pack per number; empty lanes become 0.
template <class T>
FOMAML_FAST_INLINE void gather_square(const LaneArrays<const T>& from, Index first, Vec<T>* packs) {
  using V = Vec<T>;
  constexpr Index kWidth = kLanes<T>;
  V square[kWidth];
#pragma GCC unroll 16
  for (std::size_t lane = 0; lane < kWidth; ++lane) {
    square[lane] = from.data[lane] == nullptr ? V{} : load<V>(from.data[lane] + first);
  }
  transpose_square(square);
#pragma GCC unroll 16
  for (Index i = 0; i < kWidth; ++i) packs[i] = square[i];
}

/// The inverse of gather_square.
template <class T>
FOMAML_FAST_INLINE void scatter_square(const Vec<T>* packs, const LaneArrays<T>& to, Index first) {
  using V = Vec<T>;
  constexpr Index kWidth = kLanes<T>;
  V square[kWidth];
#pragma GCC unroll 16
  for (Index i = 0; i < kWidth; ++i) square[i] = packs[i];
  transpose_square(square);
#pragma GCC unroll 16
  for (std::size_t lane = 0; lane < kWidth; ++lane) {
    if (to.data[lane] != nullptr) store(to.data[lane] + first, square[lane]);
  }
}

/// sums[i] = the sum of all lanes of of(packs[i]). False if some sum is not finite.
template <class T, class Of>
bool sum_lanes(const Vec<T>* packs, Index length, const Of& of, T* sums) {
  using V = Vec<T>;
  constexpr Index kWidth = kLanes<T>;
  V defect{};
  for (Index left = 0; left < length; left += kWidth) {
    const Index taken = std::min(kWidth, length - left);
    V square[kWidth];
    if (taken == kWidth) {
#pragma GCC unroll 16
      for (Index i = 0; i < kWidth; ++i) square[i] = of(packs[left + i]);
    } else {
      for (Index i = 0; i < kWidth; ++i) square[i] = i < taken ? of(packs[left + i]) : V{};
    }
    fold<1>(square);
    defect += square[0] - square[0];
    if (taken == kWidth) {
      store(sums + left, square[0]);
    } else {
      T part[kWidth];
      store(part, square[0]);
      std::copy_n(part, taken, sums + left);
    }
  }
  T lanes[kWidth];
  store(lanes, defect);
  return std::all_of(lanes, lanes + kWidth, [](T lane) { return lane == T(0); });
}

/// Calls body(flat, packed) for squares that cover a matrix whose rows are longer than a pack.
template <int kWidth, class Body>
FOMAML_FAST_INLINE void in_squares(const Grid& grid, Body&& body) {
  for (Index row = 0; row < grid.rows; ++row) {
    const Index flat = row * grid.width, packed = row * grid.stride;
    for (Index left = 0; left < grid.width; left += kWidth) {
      const Index column = std::min(left, grid.width - kWidth);
      body(flat + column, packed + column);
    }
  }
}

}  // namespace

template <class T>
void gather(const LaneArrays<const T>& from, Index length, Vec<T>* packs) {
  using V = Vec<T>;
  constexpr Index kWidth = kLanes<T>;
  Index left =
      in_squares(from, length, [&](Index first) { gather_square(from, first, packs + first); });
  for (; left < length; left += kWidth) {
    V square[kWidth];
    for (std::size_t lane = 0; lane < kWidth; ++lane) {
      const Index have = from.count[lane] - left;
      T part[kWidth]{};
      if (have > 0) std::copy_n(from.data[lane] + left, std::min(have, kWidth), part);
      square[lane] = load<V>(part);
    }
    transpose_square(square);
    std::copy_n(square, std::min(kWidth, length - left), packs + left);
  }
}

template <class T>
void scatter(const Vec<T>* packs, Index length, const LaneArrays<T>& to) {
  using V = Vec<T>;
  constexpr Index kWidth = kLanes<T>;
  Index left =
      in_squares(to, length, [&](Index first) { scatter_square(packs + first, to, first); });
  for (; left < length; left += kWidth) {
    V square[kWidth]{};
    std::copy_n(packs + left, std::min(kWidth, length - left), square);
    transpose_square(square);
    for (std::size_t lane = 0; lane < kWidth; ++lane) {
      const Index wanted = std::min(to.count[lane], length) - left;
      if (wanted <= 0) continue;
      T part[kWidth];
      store(part, square[lane]);
      std::copy_n(part, std::min(wanted, kWidth), to.data[lane] + left);
    }
  }
}

template <class T>
void gather(const LaneArrays<const T>& from, const Grid& grid, Vec<T>* packs) {
  if (grid.stride == grid.width) return gather(from, grid.rows * grid.width, packs);
  in_squares<kLanes<T>>(
      grid, [&](Index flat, Index packed) { gather_square(from, flat, packs + packed); });
}

template <class T>
void scatter(const Vec<T>* packs, const Grid& grid, const LaneArrays<T>& to) {
  if (grid.stride == grid.width) return scatter(packs, grid.rows * grid.width, to);
  in_squares<kLanes<T>>(
      grid, [&](Index flat, Index packed) { scatter_square(packs + packed, to, flat); });
}

template <class T>
bool lane_sums(const Vec<T>* packs, Index length, Index lanes, T* sums) {
  if (lanes == kLanes<T>) return sum_lanes(packs, length, [](auto pack) { return pack; }, sums);
  const auto taken = first_lanes<T>(lanes) != Vec<T>{};
  return sum_lanes(packs, length, [&](auto pack) { return select(taken, pack, Vec<T>{}); }, sums);
}

template <class T>
LaneRows<T> LaneRows<T>::carve(const Problem& problem, const RowShape& shape, const Pieces& pieces,
                               Arena& arena) {
  const NetworkSpec& net = problem.net;
  const Index most_rows = pieces.rows;
  LaneRows rows;
  rows.stride = row_stride(net.inputs());
  rows.x = arena.take<V>(most_rows * rows.stride);
  rows.loss = shape.loss;
  rows.blocked = pieces.many;
  rows.context = problem.algorithm.context;
  rows.y = arena.take<V>(most_rows * (takes_labels(shape.loss) ? 1 : net.outputs()));
  rows.c = arena.take<V>(most_rows * (shape.per_output ? net.outputs() : 1));
  rows.absent = arena.take<V>(net.outputs());
  return rows;
}

template <class T>
void LaneRows<T>::load(const NetworkSpec& net, const RowSet<T>& set, Group group,
                       const Pieces& pieces, Index piece) {
  const Index start = piece * pieces.rows;
  constexpr std::size_t kWidth = LaneArrays<const T>::kWidth;
  std::array<Index, kWidth> first, own;  // the piece's rows: where they start, how many
  const Index of_first = set.count(group.first);
  bool alike = true;  // all tasks have as many rows
  rows = 0;
  for (std::size_t lane = 0; lane < static_cast<std::size_t>(group.count); ++lane) {
    const Index task = group.first + static_cast<Index>(lane);
    first[lane] = set.first(task) + start;
    own[lane] = std::clamp<Index>(set.count(task) - start, 0, pieces.rows);
    rows = std::max(rows, own[lane]);
    alike = alike && set.count(task) == of_first;
  }
  std::fill(own.begin() + group.count, own.end(), Index{0});
  const auto lanes_of = [&](const T* data, Index width) {
    LaneArrays<const T> arrays;
    for (std::size_t lane = 0; lane < kWidth; ++lane) {
      arrays.count[lane] = own[lane] * width;
      arrays.data[lane] = own[lane] > 0 ? data + first[lane] * width : nullptr;
    }
    return arrays;
  };

  const Index columns = net.inputs() - context;
  gather(lanes_of(set.x, columns), rows * columns, x);
  for (Index row = rows - 1; stride != columns && row > 0; --row) {
    std::copy_backward(x + row * columns, x + (row + 1) * columns, x + row * stride + columns);
  }
  Index targets = 0;
  if (set.y != nullptr) {
    targets = net.outputs();
    gather(lanes_of(set.y, targets), rows * targets, y);
  } else if (set.labels != nullptr) {
    targets = 1;
    for (Index row = 0; row < rows; ++row) {
      T labels[kWidth]{};
      for (std::size_t lane = 0; lane < kWidth; ++lane) {
        if (row < own[lane]) labels[lane] = static_cast<T>(set.labels[first[lane] + row]);
      }
      y[row] = FOMAML_FAST_NAMESPACE::load<V>(labels);
    }
  }

  masked = set.classes != nullptr;
  for (Index j = 0; masked && j < net.outputs(); ++j) {
    T lacks[kWidth]{};
    for (std::size_t lane = 0; lane < static_cast<std::size_t>(group.count); ++lane) {
      const Index task = group.first + static_cast<Index>(lane);
      lacks[lane] = set.classes_of(task, net.outputs())[j] == 0 ? T(1) : T(0);
    }
    absent[j] = FOMAML_FAST_NAMESPACE::load<V>(lacks);
  }

  per_output = set.per_output;
  if (set.coefficients == nullptr && alike) {
    const V each = broadcast<V>(T(1) / static_cast<T>(of_first)) * first_lanes<T>(group.count);
    std::fill_n(c, rows, each);
    return;
  }
  if (set.coefficients == nullptr) {
    T uniform[kWidth]{}, counts[kWidth]{};
    for (std::size_t lane = 0; lane < kWidth; ++lane) {
      if (own[lane] == 0) continue;
      uniform[lane] = T(1) / static_cast<T>(set.count(group.first + static_cast<Index>(lane)));
      counts[lane] = static_cast<T>(own[lane]);
    }
    const V each = FOMAML_FAST_NAMESPACE::load<V>(uniform);
    const V end = FOMAML_FAST_NAMESPACE::load<V>(counts);
    for (Index row = 0; row < rows; ++row) {
      c[row] = select(broadcast<V>(static_cast<T>(row)) < end, each, V{});
    }
    return;
  }
  const Index each = per_output ? targets : 1;  // coefficients a row
  gather(lanes_of(set.coefficients, each), rows * each, c);
  for (Index row = 0; row < rows; ++row) {
    const V* const own_c = c + row * each;
    if (!net.normalized(Norm::batch)) {
      V any{};  // 0 where all coefficients are
      for (Index j = 0; j < each; ++j) any += math::abs(own_c[j]);
      clear_where_zero(any, columns, x + row * stride);
    }
    for (Index j = 0; j < each; ++j) {
      clear_where_zero(own_c[j], targets / each, y + row * targets + j * (targets / each));
    }
  }
}

template <class T>
void LaneRows<T>::set_context(const NetworkSpec& net, const V* phi) const {
  for (Index row = 0; row < rows; ++row) {
    std::copy_n(phi, context, x + row * stride + net.inputs() - context);
  }
}

#define FOMAML_FAST_INSTANTIATE(T)                                            \
  template void gather<T>(const LaneArrays<const T>&, Index, Vec<T>*);        \
  template void scatter<T>(const Vec<T>*, Index, const LaneArrays<T>&);       \
  template void gather<T>(const LaneArrays<const T>&, const Grid&, Vec<T>*);  \
  template void scatter<T>(const Vec<T>*, const Grid&, const LaneArrays<T>&); \
  template bool lane_sums<T>(const Vec<T>*, Index, Index, T*);                \
  template struct LaneRows<T>;
FOMAML_FAST_INSTANTIATE(float)
FOMAML_FAST_INSTANTIATE(double)
#undef FOMAML_FAST_INSTANTIATE

}  // namespace FOMAML_FAST_NAMESPACE::lanes
