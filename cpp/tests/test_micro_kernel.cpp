// The micro-kernel, packing and transposes against plain loops, on every size around the edges of
// tiles, panels and vectors.
#include <cmath>
#include <cstdint>
#include <vector>

#include "check.hpp"
#include "kernels/micro_kernel.hpp"
#include "kernels/transpose.hpp"

using namespace FOMAML_FAST_NAMESPACE;

namespace {

/// Small whole numbers: every sum is exact, so products must agree to the bit.
template <class T>
std::vector<T> numbers(Index count, int seed) {
  std::vector<T> values(static_cast<std::size_t>(count));
  std::uint32_t state = static_cast<std::uint32_t>(seed) * 2654435761u + 1;
  for (T& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<T>(static_cast<int>(state >> 28) - 8);
  }
  return values;
}

/// Vectors need aligned memory where they are stored as such; packed matrices do not.
template <class T>
struct Problem {
  Index rows, columns, depth;
  std::vector<T> a = numbers<T>(rows * depth, 1), b = numbers<T>(depth * columns, 2),
                 start = numbers<T>(rows * columns, 3);

  [[nodiscard]] T expected(Index r, Index c, bool transposed) const {
    T sum = start[static_cast<std::size_t>(r * columns + c)];
    for (Index k = 0; k < depth; ++k) {
      sum += a[static_cast<std::size_t>(transposed ? k * rows + r : r * depth + k)] *
             b[static_cast<std::size_t>(k * columns + c)];
    }
    return sum;
  }
};

template <class T>
std::vector<T> packed(const std::vector<T>& matrix, Index rows, Index columns) {
  std::vector<T> to(static_cast<std::size_t>(packed_size<T>(rows, columns)), T(-1));
  for (Index i = 0; i < panel_count(vectors_of<T>(columns)); ++i) {
    copy_to_panel(matrix.data(), rows, columns, i, to.data());
  }
  return to;
}

template <class T>
std::vector<T> unpacked(const std::vector<T>& matrix, Index rows, Index columns) {
  std::vector<T> to(static_cast<std::size_t>(rows * columns), T(-1));
  for (Index i = 0; i < panel_count(vectors_of<T>(columns)); ++i) {
    copy_from_panel(matrix.data(), rows, columns, i, to.data());
  }
  return to;
}

template <class T>
void check_product(Index rows, Index columns, Index depth) {
  const Problem<T> p{rows, columns, depth};
  const Index vectors = vectors_of<T>(columns), stride = padded<T>(columns);
  const T none{};  // of depth 0 there is nothing to read, but a pointer still moves over its rows
  const T* left = p.a.empty() ? &none : p.a.data();
  const std::vector<T> b = packed(p.b, depth, columns), start = packed(p.start, rows, columns);
  for (const bool transposed : {false, true}) {
    const Broadcast<T> a = transposed ? Broadcast<T>{left, 1, rows} : Broadcast<T>{left, depth, 1};
    // Into panels, in place.
    std::vector<T> c = start;
    multiply<T>({rows, vectors, depth, a, packed_panels(b.data(), depth),
                 packed_panels<const T>(c.data(), rows), packed_panels(c.data(), rows)},
                Store{});
    const std::vector<T> flat = unpacked(c, rows, columns);
    // From zeros, into padded rows.
    std::vector<T> d(static_cast<std::size_t>(rows * stride), T(-1));
    multiply<T>({rows, vectors, depth, a, packed_panels(b.data(), depth), zeros<T>(),
                 row_major(d.data(), stride)},
                Store{});
    bool same = true;
    for (Index r = 0; r < rows; ++r) {
      for (Index j = 0; j < columns; ++j) {
        const T expected = p.expected(r, j, transposed);
        same = same && flat[static_cast<std::size_t>(r * columns + j)] == expected;
        same = same && d[static_cast<std::size_t>(r * stride + j)] +
                               p.start[static_cast<std::size_t>(r * columns + j)] ==
                           expected;
      }
    }
    CHECK(same);
  }
}

/// A finish sees the place of every number, whichever tile it is in.
template <class T>
struct AddPlace {
  static constexpr bool batches = false;
  Index row = 0, vector = 0;
  [[nodiscard]] AddPlace at(Index r, Index v) const { return {row + r, vector + v}; }
  Vec<T> operator()(Vec<T> sum, int r, int v) const {
    return sum + static_cast<T>(100 * (row + r) + vector + v);
  }
};

template <class T>
void check_finish(Index rows, Index columns, Index depth) {
  const Problem<T> p{rows, columns, depth};
  const Index stride = padded<T>(columns);
  const std::vector<T> b = packed(p.b, depth, columns), start = packed(p.start, rows, columns);
  std::vector<T> c(static_cast<std::size_t>(rows * stride));
  multiply<T>({rows,
               vectors_of<T>(columns),
               depth,
               {p.a.data(), depth, 1},
               packed_panels(b.data(), depth),
               packed_panels(start.data(), rows),
               row_major(c.data(), stride)},
              AddPlace<T>{});
  bool same = true;
  for (Index r = 0; r < rows; ++r) {
    for (Index j = 0; j < columns; ++j) {
      same = same && c[static_cast<std::size_t>(r * stride + j)] ==
                         p.expected(r, j, false) + static_cast<T>(100 * r + j / kLanes<T>);
    }
  }
  CHECK(same);
}

/// Row-major operands beyond the caches: columns whole vectors, rows a line or so apart from being
/// aligned, as users' arrays are.
template <class T>
void check_streamed(Index rows, Index columns, Index depth) {
  const Problem<T> p{rows, columns, depth};
  std::vector<T> b(p.b.size() + 1), c(p.start.size() + 1, T(-1));
  std::copy(p.b.begin(), p.b.end(), b.begin() + 1);
  multiply<T>({rows,
               vectors_of<T>(columns),
               depth,
               {p.a.data(), depth, 1},
               row_major<const T>(b.data() + 1, columns),
               row_major<const T>(p.start.data(), columns),
               row_major(c.data() + 1, columns)},
              AddPlace<T>{});
  bool same = c[0] == T(-1);
  for (Index r = 0; r < rows; ++r) {
    for (Index j = 0; j < columns; ++j) {
      same = same && c[static_cast<std::size_t>(r * columns + j + 1)] ==
                         p.expected(r, j, false) + static_cast<T>(100 * r + j / kLanes<T>);
    }
  }
  CHECK(same);
}

template <class T>
void check_transposes(Index rows, Index columns) {
  const std::vector<T> matrix = numbers<T>(rows * columns, 4);
  const std::vector<T> from = packed(matrix, rows, columns);
  std::vector<T> whole(static_cast<std::size_t>(packed_size<T>(columns, rows)), T(-1));
  transpose<T>(packed_panels(from.data(), rows), rows, columns,
               packed_panels(whole.data(), columns));
  std::vector<T> direct(whole.size(), T(-1));
  pack_transposed(matrix.data(), rows, columns, direct.data());
  const std::vector<T> first = unpacked(whole, columns, rows),
                       second = unpacked(direct, columns, rows);
  bool same = true;
  for (Index r = 0; r < rows; ++r) {
    for (Index c = 0; c < columns; ++c) {
      const T expected = matrix[static_cast<std::size_t>(r * columns + c)];
      same = same && first[static_cast<std::size_t>(c * rows + r)] == expected &&
             second[static_cast<std::size_t>(c * rows + r)] == expected;
    }
  }
  CHECK(same);
  CHECK(unpacked(from, rows, columns) == matrix);
}

void check_panels() {
  for (Index vectors = 1; vectors < 40; ++vectors) {
    Index next = 0;
    for (Index i = 0; i < panel_count(vectors); ++i) {
      const Panel panel = panel_of(vectors, i);
      CHECK(panel.first == next && panel.count >= 1 && panel.count <= kPanelVectors);
      next += panel.count;
    }
    CHECK(next == vectors);
  }
}

template <class T>
void check_type() {
  for (Index rows = 1; rows <= 30; ++rows) {
    for (const Index columns : {1, 3, 8, 13, 16, 17, 33, 48, 70}) {
      check_product<T>(rows, columns, 1 + (rows * columns) % 23);
      check_finish<T>(rows, columns, 5);
    }
  }
  for (const Index few : {1, 5, 7}) {  // both ways, and neither
    check_streamed<T>(few, 208, 1003);
    check_streamed<T>(1003, 208, few);
  }
  check_streamed<T>(300, 272, 300);
  for (const Index depth : {0, 1, 95, 96, 97, 384, 385, 1000}) {
    check_product<T>(7, 37, depth);
    check_finish<T>(13, 20, depth);
  }
  for (const Index rows : {1, 2, 7, 8, 15, 16, 17, 33, 64}) {
    for (const Index columns : {1, 4, 9, 16, 31, 65}) check_transposes<T>(rows, columns);
  }
}

}  // namespace

int main() {
  check_panels();
  check_type<float>();
  check_type<double>();
  return check::report();
}
