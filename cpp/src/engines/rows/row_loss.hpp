// Losses over row-major outputs, kLanes rows at a time: each pack holds one output of that many
// rows, as the loss contract asks.
#pragma once

#include "engines/rows/shapes.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

/// Loss, targets and coefficients of some rows of one task.
template <class T>
struct Targeted {
  LossSpec loss{};
  Index outputs = 0;
  Index count = 0;
  const std::uint8_t* classes = nullptr;  ///< [n_L], 0 where the task has none such
  Index parts = 1;  ///< that each row's outputs fall into, every part with its coefficient
  /// For every kLanes rows their coefficients, a pack per part; then the targets, a pack per
  /// output, or of labels.
  const Vec<T>* packs = nullptr;
  Index step = 0;  ///< packs from one such group to the next
};

/// Room for targets: gathered once, read in every step.
template <class T>
class TargetPacks {
 public:
  /// For up to `rows` rows of this shape.
  static TargetPacks carve(const RowShape& shape, Index rows, Index outputs, Arena& arena) {
    TargetPacks room;
    room.outputs_ = outputs;
    const Index coefficients = shape.per_output ? outputs : 1;
    room.packs_ = arena.take<Vec<T>>(vectors_of<T>(rows) * (coefficients + outputs));
    return room;
  }

  /// Rows first … first + count - 1 of `task`.
  Targeted<T> gather(const RowShape& shape, const RowSet<T>& set, Index task, Index first,
                     Index count) const;

 private:
  Index outputs_ = 0;
  Vec<T>* packs_ = nullptr;
};

/// Scratch of n_L packs each, for one worker.
template <class T>
struct LossScratch {
  Vec<T>*o, *d, *r;

  static LossScratch carve(Index outputs, Arena& arena) {
    LossScratch scratch{};
    for (Vec<T>** packs : {&scratch.o, &scratch.d, &scratch.r}) {
      *packs = arena.take<Vec<T>>(outputs);
    }
    return scratch;
  }
};

/// Sum over the rows, or over their parts, of c_i l_i for outputs o [rows, stride]. With `d`, also
/// `scale` times the gradient on the outputs, of the same shape. What has coefficient 0 adds
/// nothing, whatever it holds.
template <class T>
T loss(const Targeted<T>& rows, const T* o, Index stride, const LossScratch<T>& scratch, T* d,
       T scale = 1);

/// rd = scale c_i (Hessian on the outputs) . ro, row by row.
template <class T>
void loss_curvature(const Targeted<T>& rows, const T* o, const T* ro, Index stride,
                    const LossScratch<T>& scratch, T* rd, T scale = 1);

}  // namespace FOMAML_FAST_NAMESPACE::rows
