// The rows of a task through the network: forward, back, and into the weights.
#pragma once

#include "engines/rows/shapes.hpp"
#include "kernels/long_product.hpp"
#include "network/normalization.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

/// How much a pass keeps.
enum class Keep : std::uint8_t {
  outputs,       ///< forward only
  deltas,        ///< forward and backward
  second_order,  ///< also what the R-operator needs
};

/// Padded numbers as packs.
template <class T>
Vec<T>* packs(T* numbers) {
  return reinterpret_cast<Vec<T>*>(numbers);
}
template <class T>
const Vec<T>* packs(const T* numbers) {
  return reinterpret_cast<const Vec<T>*>(numbers);
}

/// One layer's activations, row-major with its padded width between rows.
template <class T>
struct LayerPass {
  T* h = nullptr;   ///< outputs; the last layer's are the network's
  T* s = nullptr;   ///< where the activation's derivatives are taken: its inputs u, or h
  T* d = nullptr;   ///< gradient on z, the affine map's outputs
  T* du = nullptr;  ///< gradient on u; normalised layers, elsewhere u is z
  T* dh = nullptr;  ///< gradient on h; second order, curved layers
  normalization::Layer<Vec<T>>* norm = nullptr;  ///< normalised layers
  Index stride = 0;
};

/// Activations of up to `rows` rows.
///
/// In second order two halves are stacked, [h; Rh] and [Rd; d], so that h' Rd + Rh' d is one
/// product; where the halves meet depends on the number of rows that are in use.
template <class T>
class Pass {
 public:
  /// Buffers of `copies` passes; `copy` picks one. They share what is below layer `first`, and the
  /// buffers of long sums, where the rows are `summed` by the pass's owner.
  static Pass carve(const Shapes<T>& shapes, Index rows, Keep keep, Arena& arena, Index copies = 1,
                    int first = 0, bool summed = true) {
    Pass pass;
    pass.keep_ = keep;
    const Index terms = keep == Keep::second_order ? 2 * rows : rows;
    if (keep != Keep::outputs && summed && terms > kFewTerms) {
      pass.sums_ = LongSums<T>::carve(shapes.largest_layer, arena);
    }
    pass.depth_ = shapes.depth;
    pass.layers_ = arena.take<LayerPass<T>>(copies * shapes.depth);
    for (int l = 0; l < shapes.depth; ++l) {
      const Index own = l < first ? 1 : copies;
      LayerPass<T> all;
      all.stride = shapes[l].out_stride;
      const Index size = rows * all.stride, stack = keep == Keep::second_order ? 2 * size : size;
      all.h = arena.take<T>(own * stack);
      const bool apart = shapes[l].needs_input;
      all.s = apart ? arena.take<T>(own * size) : all.h;
      normalization::Layer<Vec<T>> norm;
      if (shapes[l].normalized()) {
        all.norm = arena.take<normalization::Layer<Vec<T>>>(copies);
        norm = normalization::Layer<Vec<T>>::carve(shapes[l].norm, rows, shapes[l].out_vectors,
                                                   false, arena, own);
        norm.across = shapes[l].fan_out;
      }
      const bool back = keep != Keep::outputs;
      const bool curved = keep == Keep::second_order && shapes[l].curved;
      if (back) all.d = arena.take<T>(own * stack);
      if (back && shapes[l].normalized()) all.du = arena.take<T>(own * size);
      if (curved) all.dh = arena.take<T>(own * size);
      if (arena.counting()) continue;
      for (Index k = 0; k < copies; ++k) {
        const Index place = l < first ? 0 : k;
        LayerPass<T>& one = pass.layers_[k * shapes.depth + l];
        one.h = all.h + place * stack;
        one.s = all.s + place * (apart ? size : stack);
        one.d = all.d == nullptr ? nullptr : all.d + place * stack;
        one.du = all.du == nullptr ? nullptr : all.du + place * size;
        one.dh = all.dh == nullptr ? nullptr : all.dh + place * size;
        one.norm = all.norm == nullptr ? nullptr : all.norm + k;
        if (one.norm != nullptr) *one.norm = norm.copy(place);
        one.stride = all.stride;
      }
    }
    return pass;
  }

  [[nodiscard]] T* h(int l) const { return from_row(l, layers_[l].h); }
  [[nodiscard]] T* s(int l) const { return from_row(l, layers_[l].s); }
  [[nodiscard]] T* dh(int l) const { return from_row(l, layers_[l].dh); }
  /// Of `rows` rows, as the following.
  [[nodiscard]] T* d(int l, Index rows) const {
    T* half = from_row(l, layers_[l].d);
    return keep_ == Keep::second_order ? half + rows * layers_[l].stride : half;
  }
  /// Gradient on u, in the place of that on z where no normalisation stands between.
  [[nodiscard]] T* du(int l, Index rows) const {
    return layers_[l].du != nullptr ? from_row(l, layers_[l].du) : d(l, rows);
  }
  [[nodiscard]] T* rh(int l, Index rows) const { return h(l) + rows * layers_[l].stride; }
  [[nodiscard]] T* rd(int l) const { return layers_[l].d; }
  [[nodiscard]] const LongSums<T>& sums() const { return sums_; }
  [[nodiscard]] bool keeps_dh(int l) const { return layers_[l].dh != nullptr; }
  [[nodiscard]] normalization::Layer<Vec<T>> norm(int l, Index rows) const {
    return layers_[l].norm->with_rows(rows);
  }

  /// The same buffers from row `row` on; neither for second order nor for normalised layers.
  [[nodiscard]] Pass from_row(Index row) const {
    Pass pass = *this;
    pass.row_ += row;
    return pass;
  }
  /// Pass `k` of several.
  [[nodiscard]] Pass copy(Index k) const {
    Pass pass = *this;
    pass.layers_ += k * depth_;
    return pass;
  }

 private:
  [[nodiscard]] T* from_row(int l, T* buffer) const { return buffer + row_ * layers_[l].stride; }

  LayerPass<T>* layers_ = nullptr;  ///< [copies, depth]
  LongSums<T> sums_{};              ///< of any layer's weights, one at a time
  Index row_ = 0;                   ///< where its rows begin
  Index depth_ = 0;
  Keep keep_ = Keep::outputs;
};

/// Inputs of some rows of a task.
template <class T>
struct RowRange {
  const T* x = nullptr;  ///< [count, n_0]
  Index count = 0;

  static RowRange of(const RowSet<T>& set, Index task, Index inputs) {
    return {set.x + set.first(task) * inputs, set.count(task)};
  }
};

/// to [count, out_stride of the last layer] = from [count, n_L], and 0 where it is padded.
template <class T>
void copy_outputs(const Shapes<T>& shapes, const T* from, Index count, T* to);

/// Fills the outputs of layers `first` … `end` - 1, or up to the last.
template <class T>
void forward(const Shapes<T>& shapes, const Weights<T>& weights, const RowRange<T>& rows,
             const Pass<T>& pass, int first = 0, int end = kMaxLayers);

/// Fills the deltas of layers `first` … `end` - 1, from those of the highest.
template <class T>
void backward(const Shapes<T>& shapes, const Weights<T>& weights, const RowRange<T>& rows,
              const Pass<T>& pass, int first = 0, int end = kMaxLayers);

/// Where `du` holds the gradient on u of layer l: that on z, if a normalisation stands between.
template <class T>
void through_norm(const Shapes<T>& shapes, const Weights<T>& weights, Index rows,
                  const Pass<T>& pass, int l);

/// to += the sums over the rows of layer l that are the gradients of b, gamma and beta.
template <class T>
void add_row_gradients(const Shapes<T>& shapes, int l, Index rows, const Pass<T>& pass, T* bias,
                       T* gain, T* shift);

/// to = start + the gradient of all of layer l's parameters, after backward.
template <class T>
void layer_gradient(const Shapes<T>& shapes, int l, const RowRange<T>& rows, const Pass<T>& pass,
                    bool from_zero, const Weights<T>& to);

/// to = start + the gradient of layer l's weights, after backward.
template <class T>
void weight_gradient(const Shapes<T>& shapes, int l, const RowRange<T>& rows, const Pass<T>& pass,
                     Columns<const T> start, Columns<T> to);

/// One step of gradient descent without normalised layers, after backward: to = from - rate *
/// gradient for layers `first` and above (biases for all). `rates` holds one per layer; without
/// them minus the rate is in the deltas already. `scratch` has rows x widest numbers. `to` may be
/// `from`. Returns layer 0's scaled delta.
template <class T>
const T* descend(const Shapes<T>& shapes, const Weights<T>& from, const Weights<T>& to,
                 const T* rates, const RowRange<T>& rows, const Pass<T>& pass, T* scratch,
                 bool transposes_too, int first = 0);

}  // namespace FOMAML_FAST_NAMESPACE::rows
