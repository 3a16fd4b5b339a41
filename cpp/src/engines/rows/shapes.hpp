// Shapes of a problem as the Rows engine lays them out: a pure function of the problem.
#pragma once

#include "engines/engine.hpp"
#include "kernels/panels.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

/// Whether the fused steps of adaptation.hpp compute it; general_path.hpp computes everything.
inline bool has_fused_steps(const Problem& problem) {
  return problem.is_vanilla_sgd() && !problem.net.normalized();
}

/// Whether the first layer is dual (dual.hpp): an input this much wider than the support has rows
/// makes products of K x K instead of n_0 x n_1. All steps have to see the same rows.
inline bool wants_dual(const Problem& problem) {
  constexpr Index kWideInput = 8;
  if (!has_fused_steps(problem) || problem.support.stepped) return false;
  const int steps = problem.algorithm.steps;
  const bool pays = problem.operation == Operation::meta_gradient
                        ? steps > 0
                        : problem.operation == Operation::adapt && steps > 1;
  return pays && problem.net.inputs() >= kWideInput * problem.support.longest;
}

/// One affine layer, and where its parts stand in packed parameters. No default values: a shapes
/// has room for many more layers than networks have, and small calls would feel the writing of
/// them.
struct Layer {
  Index fan_in, fan_out;
  Index in_vectors, out_vectors;
  Index in_stride, out_stride;  ///< leading dimensions of inputs and outputs
  Index weight, bias;           ///< offsets in packed parameters
  Index transposed;             ///< offset of W' in packed transposes; layers >= 1 only
  Index gain, shift;            ///< the same, of what a normalised layer has besides
  LayerOffsets flat;            ///< in the user's theta
  Norm norm;
  ActivationSpec activation;
  bool needs_input;  ///< derivatives of the activation are taken at z, not at h
  bool curved;       ///< sigma'' is not 0
  bool fused;        ///< sigma and its derivatives are applied to sums in registers

  [[nodiscard]] bool normalized() const { return norm != Norm::none; }
  /// Numbers in the bias, and in the gains and shifts that follow it.
  [[nodiscard]] Index row_parameters() const { return (normalized() ? 3 : 1) * out_stride; }
};

template <class T>
struct Shapes {
  explicit Shapes(const Problem& problem) : depth(problem.net.depth), dual(wants_dual(problem)) {
    const NetworkSpec& net = problem.net;
    for (int l = 0; l < depth; ++l) {
      Layer& layer = at(l);
      layer.fan_in = net.fan_in(l);
      layer.fan_out = net.fan_out(l);
      layer.in_vectors = vectors_of<T>(layer.fan_in);
      layer.out_vectors = vectors_of<T>(layer.fan_out);
      layer.in_stride = l == 0 ? layer.fan_in : padded<T>(layer.fan_in);  // x is the user's
      layer.out_stride = padded<T>(layer.fan_out);
      layer.weight = packed_parameters;
      if (l > 0) packed_parameters += packed_size<T>(layer.fan_in, layer.fan_out);
      layer.bias = packed_parameters;
      layer.gain = layer.bias + layer.out_stride;
      layer.shift = layer.gain + layer.out_stride;
      layer.norm = net.norm(l);
      packed_parameters += layer.row_parameters();
      layer.transposed = packed_transposes;
      if (l > 0) packed_transposes += packed_size<T>(layer.fan_out, layer.fan_in);
      layer.flat = problem.layout.layer(net, l);
      layer.activation = net.activation(l);
      const ActivationFacts facts = facts_of(layer.activation);
      layer.needs_input = facts.needs_input;
      layer.curved = facts.curved;
      layer.fused = facts.fusion != Fusion::none;
      widest = std::max({widest, layer.out_stride, l == 0 ? 0 : layer.in_stride});
      widths += layer.out_stride;
      largest_layer = std::max(largest_layer, packed_size<T>(layer.fan_in, layer.fan_out));
      panels += panel_count(layer.out_vectors);
    }
    // W_0 comes last: adapted parameters begin at 0 whether it is among them or not.
    at(0).weight = packed_parameters;
    packed_parameters += packed_size<T>(at(0).fan_in, at(0).fan_out);
    forms_first_weight = !dual || problem.operation == Operation::adapt;
    adapted_parameters = forms_first_weight ? packed_parameters : at(0).weight;
    parameters = problem.layout.n_params;
    outputs = net.outputs();
  }

  [[nodiscard]] const Layer& operator[](int l) const { return layers[NetworkSpec::at(l)]; }
  [[nodiscard]] const Layer& last() const { return (*this)[depth - 1]; }

  int depth;
  bool dual;                       ///< no step forms the adapted W_0: see dual.hpp
  bool forms_first_weight = true;  ///< the result has it
  std::array<Layer, kMaxLayers> layers;
  Index parameters = 0;          ///< P
  Index packed_parameters = 0;   ///< numbers in packed weights and biases
  Index adapted_parameters = 0;  ///< of those, what a step writes
  Index packed_transposes = 0;
  Index widest = 0;         ///< largest leading dimension
  Index widths = 0;         ///< sum of the leading dimensions of all outputs
  Index largest_layer = 0;  ///< numbers in packed weights
  Index panels = 0;         ///< over all layers
  Index outputs = 0;

 private:
  Layer& at(int l) { return layers[NetworkSpec::at(l)]; }
};

/// Parameters of one network, packed.
template <class T>
struct Weights {
  T* values = nullptr;      ///< per layer W in panels, then the padded b, gains and shifts
  T* transposes = nullptr;  ///< per layer >= 1 W' in panels

  static Weights carve(const Shapes<T>& shapes, Arena& arena) {
    Weights weights;
    weights.values = arena.take<T>(shapes.packed_parameters);
    weights.transposes = arena.take<T>(shapes.packed_transposes);
    return weights;
  }
  [[nodiscard]] Columns<T> weight(const Layer& layer) const {
    return packed_panels(values + layer.weight, layer.fan_in);
  }
  [[nodiscard]] Columns<T> transposed(const Layer& layer) const {
    return packed_panels(transposes + layer.transposed, layer.fan_out);
  }
  [[nodiscard]] T* bias(const Layer& layer) const { return values + layer.bias; }
  [[nodiscard]] T* gain(const Layer& layer) const { return values + layer.gain; }
  [[nodiscard]] T* shift(const Layer& layer) const { return values + layer.shift; }
};

}  // namespace FOMAML_FAST_NAMESPACE::rows
