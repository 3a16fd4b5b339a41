// Between the user's flat theta and packed parameters: those of a group of tasks, or, before the
// first step, of all tasks alike. In theta's order, with room between the rows of some weights
// (grid.hpp): that room is 0 in every vector, so that sums over all of it mean the same.
#pragma once

#include "base/arena.hpp"
#include "engines/lanes/lane_rows.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

/// Makes the room between rows 0 in `count` vectors, and what stands `behind` each, in a row.
template <class E>
void clear_room(const Shapes& shapes, E* vectors, Index count, Index behind = 0) {
  if (!shapes.padded()) return;
  const Index size = shapes.size + behind;
  for (E* vector = vectors; vector != vectors + count * size; vector += size) {
    for (int l = 0; l < shapes.depth; ++l) {
      const Layer& layer = shapes[l];
      if (!layer.padded()) continue;
      for (E* row = vector + layer.weight; row != vector + layer.bias; row += layer.stride) {
        std::fill(row + layer.fan_out, row + layer.stride, E{});
      }
    }
  }
}

/// `count` vectors of packed parameters with what stands `behind` each. E is a pack or a scalar.
template <class E>
E* take_vectors(const Shapes& shapes, Index count, Arena& arena, Index behind = 0) {
  E* const vectors = arena.take<E>(count * (shapes.size + behind));
  if (!arena.counting()) clear_room(shapes, vectors, count, behind);
  return vectors;
}

/// Calls body(packed, flat, count) for runs of numbers that are neighbours in both, among those
/// that are packed from `first` to before `last`.
template <class Body>
void for_each_run(const Shapes& shapes, Index first, Index last, Body&& body) {
  const auto within = [&](Index packed, Index flat, Index count) {
    const Index from = std::max(first, packed), end = std::min(last, packed + count);
    if (from < end) body(from, flat + from - packed, end - from);
  };
  for (int l = 0; l < shapes.depth; ++l) {
    const Layer& layer = shapes[l];
    if (layer.end <= first) continue;
    if (layer.weight >= last) return;
    if (!layer.padded()) {
      within(layer.weight, layer.flat.weight, layer.end - layer.weight);
      continue;
    }
    for (Index row = std::max<Index>(0, (first - layer.weight) / layer.stride);
         row < layer.fan_in && layer.weight + row * layer.stride < last; ++row) {
      within(layer.weight + row * layer.stride, layer.flat.weight + row * layer.fan_out,
             layer.fan_out);
    }
    within(layer.bias, layer.flat.bias, layer.end - layer.bias);
  }
}

/// Vectors that are added up as if without rounding: `latest` gathers a few, `sum` those before
/// them, and `error` what that has lost.
template <class V>
struct LongSum {
  V *latest = nullptr, *sum = nullptr, *error = nullptr;

  static LongSum carve(const Shapes& shapes, Arena& arena, Index behind = 0) {
    return {take_vectors<V>(shapes, 1, arena, behind), take_vectors<V>(shapes, 1, arena, behind),
            take_vectors<V>(shapes, 1, arena, behind)};
  }
  void begin(Index size) const {
    std::fill_n(sum, size, V{});
    std::fill_n(error, size, V{});
  }
  void add(const V* x, Index size) const { add_compensated(x, size, broadcast<V>(1), sum, error); }
};

/// Vectors that all tasks share, packed: the user's own where packing changes nothing.
template <class T>
struct CallBuffers {
  const T* theta = nullptr;  ///< unless each task has its own
  const T* rates = nullptr;  ///< of single parameters, if that is what rates are of

  static CallBuffers carve(const Problem& problem, const Shapes& shapes, const Call<T>& call,
                           Arena& arena) {
    const auto packed = [&](const T* flat) {
      if (!shapes.padded()) return flat;
      T* const to = take_vectors<T>(shapes, 1, arena);
      if (!arena.counting()) {
        for_each_run(shapes, 0, shapes.size, [&](Index place, Index from, Index count) {
          std::copy_n(flat + from, count, to + place);
        });
      }
      return static_cast<const T*>(to);
    };
    CallBuffers shared;
    if (!problem.theta_per_task) shared.theta = packed(call.theta);
    if (problem.algorithm.rates_per_parameter) shared.rates = packed(call.rates);
    return shared;
  }
};

/// The tasks' own flat vectors, `stride` apart from task 0 on, into packs.
template <class T>
void gather_parameters(const Shapes& shapes, const T* flat, Index stride, Group group,
                       Vec<T>* packs);

/// The way back, to those lanes that have a flat vector.
template <class T>
void scatter_parameters(const Shapes& shapes, const Vec<T>* packs, const LaneArrays<T>& flat);

}  // namespace FOMAML_FAST_NAMESPACE::lanes
