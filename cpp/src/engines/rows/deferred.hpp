// Deferred layers: their gradient is formed after many tasks, as one product over all their rows.
//
// For large layers a partial sum per block of tasks would move more memory than the product itself.
// Instead the rows of these tasks are kept, and each chunk of a layer's inputs sums over all of
// them.
#pragma once

#include "engines/rows/operation.hpp"
#include "engines/rows/pass.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

/// Which layers are deferred, and for how many rows there is room: a pure function of the problem.
template <class T>
struct DeferredShape {
  DeferredShape(const Problem& problem, const Shapes<T>& shapes);

  bool many = false;       ///< rows: sums over them are cut into blocks
  int layers = 0;          ///< the first so many: all, layer 0 alone (exact), or none
  bool exact = false;      ///< only layer 0, with a share from the support rows
  Index query_rows = 0;    ///< a round of tasks ends where this is full
  Index support_rows = 0;  ///< the same, exact only
};

/// One round of tasks: as many as there is room for.
struct Round {
  Index first = 0, last = 0;
};

template <class T>
class Deferred {
 public:
  Deferred(const Problem& problem, const Shapes<T>& shapes, Arena& arena);

  [[nodiscard]] bool any() const { return shape_.layers > 0; }
  [[nodiscard]] bool all_layers() const { return any() && !shape_.exact; }
  /// The round that begins with task `first`; all tasks where nothing is deferred.
  [[nodiscard]] Round round_from(const Frame<T>& frame, Index first) const;

  /// First order: the pass that a task of the round leaves its query rows in.
  [[nodiscard]] Pass<T> query_pass(const Frame<T>& frame, Round round, Index task) const;
  /// Exact: where a task of the round leaves layer 0's query deltas, and the R of its support's.
  [[nodiscard]] T* query_deltas(const Frame<T>& frame, Round round, Index task) const;
  [[nodiscard]] T* support_sums(const Frame<T>& frame, Round round, Index task) const;

  /// All workers together: adds the round to the deferred layers. The last round also writes them,
  /// times grad_scale, to the meta-gradient.
  void add(const Frame<T>& frame, Round round, Team& team) const;

 private:
  /// Some inputs of one layer: the unit of work.
  struct Chunk {
    int layer;
    Index from, to;
  };
  /// Rows of the round: A from the inputs, B from the deltas.
  struct Side {
    const RowSet<T>* set;
    const T* inputs;  ///< null: the set's x
    const T* deltas;
  };
  [[nodiscard]] Index chunks(const Shapes<T>& shapes, int l) const;
  void add_chunk(const Frame<T>& frame, Round round, Chunk chunk) const;
  void add_side(const Frame<T>& frame, Round round, Chunk chunk, const Side& side,
                bool& from_zero) const;
  /// Calls body(first, count) for the packed numbers of a chunk: weights, and with the first the
  /// bias.
  template <class Body>
  static void for_each_part(const Shapes<T>& shapes, Chunk chunk, const Body& body) {
    const Layer& layer = shapes[chunk.layer];
    body(layer.weight + chunk.from * layer.out_stride, (chunk.to - chunk.from) * layer.out_stride);
    if (chunk.from == 0) body(layer.bias, layer.out_stride);
  }
  /// Moves what total_ holds of a chunk to the sum.
  void add_latest(const Shapes<T>& shapes, Chunk chunk) const;
  void write(const Frame<T>& frame, Chunk chunk) const;

  DeferredShape<T> shape_;
  Pass<T> query_;        ///< first order: all query rows of a round
  T* deltas_ = nullptr;  ///< exact: layer 0's on the query rows
  T* sums_ = nullptr;    ///< exact: R on the support rows
  T* total_ = nullptr;   ///< packed, every chunk by itself
  /// Where there are many rows, total_ holds the latest: the sum of those before them, and what
  /// adding them up has lost.
  T *sum_ = nullptr, *error_ = nullptr;
};

}  // namespace FOMAML_FAST_NAMESPACE::rows
