// Hessian-vector products by the R-operator (Pearlmutter 1994, "Fast exact multiplication by the
// Hessian"), after a second-order forward and backward pass.
#pragma once

#include "engines/rows/dual.hpp"
#include "engines/rows/pass.hpp"
#include "engines/rows/row_loss.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

/// Parameters of all layers as operands. They are packed, except weights that are read or written
/// in place in a vector of the user's. T is const for parameters that are only read.
template <class T>
struct LayerViews {
  T* packed = nullptr;
  T* flat = nullptr;   ///< the user's vector, if any
  Index smallest = 0;  ///< weights in the smallest layer that stays in `flat`

  /// Whether a layer's weights stay in `flat`: whole vectors in every row.
  [[nodiscard]] bool in_place(const Layer& layer) const {
    return flat != nullptr && layer.fan_out % kLanes<std::remove_const_t<T>> == 0 &&
           layer.fan_in * layer.fan_out >= smallest;
  }
  [[nodiscard]] Columns<T> weight(const Layer& layer) const {
    return in_place(layer) ? row_major(flat + layer.flat.weight, layer.fan_out)
                           : packed_panels(packed + layer.weight, layer.fan_in);
  }
  [[nodiscard]] T* bias(const Layer& layer) const { return packed + layer.bias; }
  [[nodiscard]] T* gain(const Layer& layer) const { return packed + layer.gain; }
  [[nodiscard]] T* shift(const Layer& layer) const { return packed + layer.shift; }
  operator LayerViews<const T>() const { return {packed, flat, smallest}; }
};

/// Buffers of one product; nothing in them outlives it.
template <class T>
struct CurvatureScratch {
  struct OfLayer {
    T* rz;                        ///< R of the activation's inputs; curved layers
    Vec<T>*r_xhat, *r_log_scale;  ///< normalised layers
  };
  OfLayer* layers = nullptr;
  T* transposed = nullptr;  ///< one layer's tangent, transposed

  static CurvatureScratch carve(const Shapes<T>& shapes, Index rows, Arena& arena) {
    CurvatureScratch scratch;
    scratch.layers = arena.take<OfLayer>(shapes.depth);
    Index largest = 0;
    for (int l = 0; l < shapes.depth; ++l) {
      OfLayer of_layer{};
      if (shapes[l].curved) of_layer.rz = arena.take<T>(rows * shapes[l].out_stride);
      if (shapes[l].normalized()) {
        const Index units = shapes[l].out_vectors;
        of_layer.r_xhat = arena.take<Vec<T>>(rows * units);
        of_layer.r_log_scale = arena.take<Vec<T>>(std::max(rows, units));
      }
      if (l > 0) largest = std::max(largest, packed_size<T>(shapes[l].fan_out, shapes[l].fan_in));
      if (!arena.counting()) scratch.layers[l] = of_layer;
    }
    scratch.transposed = arena.take<T>(largest);
    return scratch;
  }
};

/// to = start + H v, the tangent v being `-rates[l]` times `tangent` in layer l, or `tangent`
/// itself where `rates` is null. `start` is null for 0; tangent, start and `to` may be one. With
/// normalised layers `rates` is null and the tangent is not `to`.
template <class T>
struct HessianProduct {
  const Shapes<T>& shapes;
  const Weights<T>& weights;  ///< where the Hessian is taken
  const RowRange<T>& rows;
  const Targeted<T>& targets;
  const Pass<T>& pass;
  const CurvatureScratch<T>& scratch;
  const LossScratch<T>& loss_scratch;
  LayerViews<const T> tangent;
  const T* rates;
  const LayerViews<const T>* start;
  LayerViews<T> to;
  DualLayer<T>* dual = nullptr;  ///< holds layer 0's part of tangent, start and `to`
  int first = 0;                 ///< the lowest layer that the tangent moves
  /// R of the gradient on the outputs below `first` is added here, unless null.
  T* below_first = nullptr;
  /// Factor of the pass's deltas, and so of H.
  T delta_scale = 1;
  /// R of the gradient on the outputs, [rows, n_L]; null: from the loss's curvature.
  const T* output_tangents = nullptr;
};

/// The tangents of all layers' outputs along `tangent`: the first half of hessian_product.
template <class T>
void push_forward(const HessianProduct<T>& product);

template <class T>
void hessian_product(const HessianProduct<T>& product);

}  // namespace FOMAML_FAST_NAMESPACE::rows
