// Hessian-vector products by the R-operator (Pearlmutter 1994, "Fast exact multiplication by the
// Hessian"), after a second-order forward and backward pass.
#pragma once

#include "engines/rows/dual.hpp"
#include "engines/rows/pass.hpp"
#include "engines/rows/row_loss.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

/// Parameters layer by layer, in whatever layout each matrix has. T is const for operands.
template <class T>
struct LayerViews {
  std::array<Columns<T>, kMaxLayers> weights{};
  std::array<T*, kMaxLayers> biases{};           ///< padded, as the following
  std::array<T*, kMaxLayers> gains{}, shifts{};  ///< of normalised layers

  [[nodiscard]] const Columns<T>& weight(int l) const { return weights[NetworkSpec::at(l)]; }
  [[nodiscard]] T* bias(int l) const { return biases[NetworkSpec::at(l)]; }
  [[nodiscard]] T* gain(int l) const { return gains[NetworkSpec::at(l)]; }
  [[nodiscard]] T* shift(int l) const { return shifts[NetworkSpec::at(l)]; }
};

/// The same views, to read from.
template <class T>
LayerViews<const T> readable(const LayerViews<T>& views) {
  LayerViews<const T> operands;
  std::copy(views.weights.begin(), views.weights.end(), operands.weights.begin());
  std::copy(views.biases.begin(), views.biases.end(), operands.biases.begin());
  std::copy(views.gains.begin(), views.gains.end(), operands.gains.begin());
  std::copy(views.shifts.begin(), views.shifts.end(), operands.shifts.begin());
  return operands;
}

/// Views of packed parameters.
template <class T>
LayerViews<T> views_of(const Plan<T>& plan, const Weights<T>& packed) {
  LayerViews<T> views;
  for (int l = 0; l < plan.depth; ++l) {
    const std::size_t i = NetworkSpec::at(l);
    views.weights[i] = packed.weight(plan[l]);
    views.biases[i] = packed.bias(plan[l]);
    if (!plan[l].normalized()) continue;
    views.gains[i] = packed.gain(plan[l]);
    views.shifts[i] = packed.shift(plan[l]);
  }
  return views;
}

/// Buffers that do not outlive one product.
template <class T>
struct CurvatureScratch {
  std::array<T*, kMaxLayers> rz{};  ///< R of the activation's inputs; curved layers
  std::array<Vec<T>*, kMaxLayers> r_xhat{}, r_log_scale{};  ///< normalised layers
  T* transposed = nullptr;                                  ///< one layer's tangent, transposed

  static CurvatureScratch carve(const Plan<T>& plan, Index rows, Arena& arena) {
    CurvatureScratch scratch;
    Index largest = 0;
    for (int l = 0; l < plan.depth; ++l) {
      if (plan[l].curved) {
        scratch.rz[NetworkSpec::at(l)] = arena.take<T>(rows * plan[l].out_stride);
      }
      if (plan[l].normalized()) {
        const Index units = plan[l].out_vectors;
        scratch.r_xhat[NetworkSpec::at(l)] = arena.take<Vec<T>>(rows * units);
        scratch.r_log_scale[NetworkSpec::at(l)] = arena.take<Vec<T>>(std::max(rows, units));
      }
      if (l > 0) largest = std::max(largest, packed_size<T>(plan[l].fan_out, plan[l].fan_in));
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
  const Plan<T>& plan;
  const Weights<T>& weights;  ///< where the Hessian is taken
  const Rows<T>& rows;
  const Targeted<T>& targets;
  const Pass<T>& pass;
  const CurvatureScratch<T>& scratch;
  const LossScratch<T>& loss_scratch;
  const LayerViews<const T>& tangent;
  const T* rates;
  const LayerViews<const T>* start;
  const LayerViews<T>& to;
  DualLayer<T>* dual = nullptr;  ///< holds layer 0's part of tangent, start and `to`
  int first = 0;                 ///< the lowest layer that the tangent moves
  /// Added to: R of the gradient on the outputs below `first`, where somebody wants it.
  T* below_first = nullptr;
  /// R of the gradient on the outputs, [rows, n_L], where it is not the loss's curvature.
  const T* output_tangents = nullptr;
};

/// The tangents of all layers' outputs along `tangent`: the first half of hessian_product.
template <class T>
void push_forward(const HessianProduct<T>& product);

template <class T>
void hessian_product(const HessianProduct<T>& product);

}  // namespace FOMAML_FAST_NAMESPACE::rows
