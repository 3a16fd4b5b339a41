// Copies between tasks in memory and tasks in lanes.
#pragma once

#include "engines/lanes/shapes.hpp"
#include "kernels/simd.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

/// Consecutive tasks, one per lane; lanes from `count` on are empty.
struct Group {
  Index first;
  int count;

  static Group of(Index index, Index tasks, Index lanes) {
    const Index first = index * lanes;
    return {first, static_cast<int>(std::min(lanes, tasks - first))};
  }
};

/// For each lane, where its numbers start (null: an empty lane) and how many there are. E is T or
/// const T. Without `{}` nothing is set.
template <class E>
struct LaneArrays {
  static constexpr std::size_t kWidth = kLanes<std::remove_const_t<E>>;
  std::array<E*, kWidth> data;
  std::array<Index, kWidth> count;

  /// `length` numbers of each task, `stride` apart.
  static LaneArrays of(E* first, Index stride, Index length, Group group) {
    LaneArrays arrays{};
    for (std::size_t lane = 0; lane < static_cast<std::size_t>(group.count); ++lane) {
      arrays.data[lane] = first + (group.first + static_cast<Index>(lane)) * stride;
      arrays.count[lane] = length;
    }
    return arrays;
  }
  /// `length` numbers from number `from` on, of the lanes that have any.
  [[nodiscard]] LaneArrays part(Index from, Index length) const {
    LaneArrays arrays{};
    for (std::size_t lane = 0; lane < kWidth; ++lane) {
      if (data[lane] == nullptr) continue;
      arrays.data[lane] = data[lane] + from;
      arrays.count[lane] = length;
    }
    return arrays;
  }
};

/// packs[i] = number i of every lane, 0 where a lane has no more, for i < length.
template <class T>
void gather(const LaneArrays<const T>& from, Index length, Vec<T>* packs);

/// The inverse: number i of every lane that has one, for i < length.
template <class T>
void scatter(const Vec<T>* packs, Index length, const LaneArrays<T>& to);

/// The same for matrices with contiguous rows, of which a lane has all numbers or none.
template <class T>
void gather(const LaneArrays<const T>& from, const Grid& grid, Vec<T>* packs);
template <class T>
void scatter(const Vec<T>* packs, const Grid& grid, const LaneArrays<T>& to);

/// A pack of ones in the first `count` lanes, and zeros.
template <class T>
Vec<T> first_lanes(Index count) {
  T lanes[kLanes<T>]{};
  std::fill_n(lanes, count, T(1));
  return load<Vec<T>>(lanes);
}

/// sums[i] = the sum of the first `lanes` lanes of packs[i], whatever the others hold. False if
/// some sum is not finite.
template <class T>
bool lane_sums(const Vec<T>* packs, Index length, Index lanes, T* sums);

/// Some rows of a group of tasks. Rows that a task does not have are zeros. Rows with coefficient 0
/// are zeros too, whatever memory holds, unless rows enter each other's statistics.
template <class T>
struct LaneRows {
  using V = Vec<T>;
  V* x = nullptr;  ///< shapes.inputs(0), the last `context` columns being left to set_context
  V* y = nullptr;  ///< [rows, n_L], or [rows] class indices
  V* c = nullptr;  ///< [rows] coefficients; [rows, n_L] if `per_output`
  bool per_output = false;
  /// [n_L]: 1 where a lane's task lacks the class; `masked` says whether it counts.
  V* absent = nullptr;
  bool masked = false;
  bool blocked = false;  ///< sums over the rows are cut into blocks: they are a piece of many
  Index rows = 0;
  Index stride = 0;  ///< of the rows of x
  Index context = 0;
  LossSpec loss{};

  static LaneRows carve(const Problem& problem, const RowShape& shape, const Pieces& pieces,
                        Arena& arena);
  /// Piece `piece` of the group's tasks; fewer rows, or none, where all its tasks are shorter.
  void load(const NetworkSpec& net, const RowSet<T>& set, Group group, const Pieces& pieces,
            Index piece);
  /// The same last columns in every row.
  void set_context(const NetworkSpec& net, const V* phi) const;
};

}  // namespace FOMAML_FAST_NAMESPACE::lanes
