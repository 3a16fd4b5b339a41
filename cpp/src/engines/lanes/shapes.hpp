// Shapes of a problem as the Lanes engine sees them: a pure function of the problem.
#pragma once

#include <algorithm>

#include "engines/engine.hpp"
#include "engines/lanes/grid.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

/// Rows that go through the network together. Longer tasks go in pieces, so that a worker's
/// activations stay in the second-level cache and its memory does not grow with K or Q.
inline constexpr Index kMostRows = 64;

inline constexpr const char* kInPieces = "sets longer than 64 rows, but for plain gradient descent";
static_assert(kMostRows == 64, "the text says so");
/// Of a head in closed form, whose systems see all rows of a task.
inline constexpr Index kMostRowsOfHeads = 256;
inline constexpr const char* kManyRowsOfHeads = "heads in closed form of more than 256 rows";
static_assert(kMostRowsOfHeads == 256, "the text says so");

/// Rows of one task set, cut into equal pieces.
struct Pieces {
  Index count = 0;
  Index rows = 0;     ///< of the longest piece
  bool many = false;  ///< rows in all: sums over them are cut into blocks

  explicit Pieces(const RowShape& shape, Index most = kMostRows)
      : count(std::max<Index>(1, (shape.longest + most - 1) / most)),
        rows((shape.longest + count - 1) / count),
        many(shape.longest > kFewTerms) {}
  [[nodiscard]] bool whole() const { return count == 1; }
};

struct Layer {
  Index fan_in, fan_out;
  Index stride;        ///< of the rows of W, and of outputs and all that is like them
  Index weight, bias;  ///< offsets in a vector of packed parameters
  Index gain, shift;   ///< the same, of what a normalised layer has besides
  Index end;           ///< of its parameters
  LayerOffsets flat;   ///< of all these in theta
  Norm norm;
  ActivationSpec activation;
  ActivationFacts facts;

  [[nodiscard]] bool normalized() const { return norm != Norm::none; }
  [[nodiscard]] bool padded() const { return stride != fan_out; }
  [[nodiscard]] Grid weights() const { return {fan_in, fan_out, stride}; }
  [[nodiscard]] Grid outputs(Index rows) const { return {rows, fan_out, stride}; }
};

struct Shapes {
  Shapes(const Problem& problem, Index lanes)
      : depth(problem.net.depth),
        n_params(problem.layout.n_params),
        input_stride(row_stride(problem.net.inputs())),
        groups((problem.tasks + lanes - 1) / lanes),
        long_blocks(problem.has_long_partial_sums(groups)),
        support(problem.support, most_rows(problem)),
        query(problem.query, most_rows(problem)) {
    for (int l = 0; l < depth; ++l) {
      const NetworkSpec& net = problem.net;
      const ActivationSpec activation = net.activation(l);
      const LayerOffsets flat = problem.layout.layer(net, l);
      const Index fan_in = net.fan_in(l), fan_out = net.fan_out(l);
      // Losses and normalisation expect contiguous rows.
      const bool together = net.is_last(l) || net.normalized(l);
      const Index stride = together ? fan_out : row_stride(fan_out);
      const Index before = size - flat.weight, more = fan_in * (stride - fan_out) + before;
      layers[NetworkSpec::at(l)] = {.fan_in = fan_in,
                                    .fan_out = fan_out,
                                    .stride = stride,
                                    .weight = flat.weight + before,
                                    .bias = flat.bias + more,
                                    .gain = flat.gain + more,
                                    .shift = flat.shift + more,
                                    .end = flat.end + more,
                                    .flat = flat,
                                    .norm = net.norm(l),
                                    .activation = activation,
                                    .facts = facts_of(activation)};
      size = flat.end + more;
    }
    const Operation operation = problem.operation;
    unrolls = operation == Operation::adapt || operation == Operation::meta_gradient;
    meta = operation == Operation::meta_gradient;
    steps = unrolls ? problem.algorithm.steps : 0;
    exact = meta && problem.algorithm.flow == Flow::exact && steps > 0;
    second_order = operation == Operation::hvp || problem.takes_hessians();
  }

  /// That go through the network together.
  static Index most_rows(const Problem& problem) {
    return problem.algorithm.head.given() ? kMostRowsOfHeads : kMostRows;
  }
  [[nodiscard]] const Layer& operator[](int l) const { return layers[NetworkSpec::at(l)]; }
  [[nodiscard]] const Layer& last() const { return (*this)[depth - 1]; }
  /// Inputs of layer l.
  [[nodiscard]] Grid inputs(int l, Index rows) const {
    if (l > 0) return (*this)[l - 1].outputs(rows);
    return {rows, layers[0].fan_in, input_stride};
  }
  [[nodiscard]] bool padded() const { return size != n_params; }

  int depth;
  std::array<Layer, kMaxLayers> layers;  ///< as many as there are
  Index n_params;                        ///< numbers in theta
  Index size = 0;  ///< the same with room between rows of weights: a vector of packed parameters
  Index input_stride;
  Index groups;      ///< of kLanes tasks
  bool long_blocks;  ///< of more groups than are added one after another
  Pieces support, query;
  int steps = 0;
  bool unrolls = false;       ///< adapt, meta_gradient
  bool meta = false;          ///< meta_gradient
  bool exact = false;         ///< every step is kept for the way back
  bool second_order = false;  ///< Hessian-vector products are taken
};

}  // namespace FOMAML_FAST_NAMESPACE::lanes
