// What a network is: sizes, one activation and normalisation per hidden layer, a loss.
#pragma once

#include <algorithm>
#include <array>

#include "activations/registry.hpp"
#include "losses/registry.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// What stands between a hidden layer's affine map and its activation.
enum class Norm : std::uint8_t {
  none,
  layer,  ///< statistics over the units of each row (Ba, Kiros & Hinton 2016)
  batch,  ///< over the rows of the set, for each unit (Ioffe & Szegedy 2015)
};

inline constexpr const char* kNormNames[] = {"none", "layer", "batch"};

struct NetworkSpec {
  int depth = 0;                              ///< affine layers L
  std::array<Index, kMaxLayers + 1> sizes{};  ///< n_0 … n_L
  std::array<Norm, kMaxLayers> norms{};       ///< of layers 0 … L-2
  LossSpec loss{};  ///< of rows that do not say otherwise: what computes asks their RowShape
  /// Of layers 0 … L-2; the last is linear. There is room for many more layers than networks have:
  /// beyond, nothing is initialised or copied, which small calls would feel.
  std::array<ActivationSpec, kMaxLayers> activations;

  NetworkSpec() {}  // not defaulted: value-initialisation would write all of it
  NetworkSpec(const NetworkSpec& other) { *this = other; }
  NetworkSpec& operator=(const NetworkSpec& other) {
    depth = other.depth;
    sizes = other.sizes;
    norms = other.norms;
    loss = other.loss;
    std::copy_n(other.activations.begin(), depth - 1, activations.begin());
    return *this;
  }

  [[nodiscard]] Index inputs() const { return sizes[0]; }
  [[nodiscard]] Index outputs() const { return sizes[at(depth)]; }
  [[nodiscard]] Index fan_in(int layer) const { return sizes[at(layer)]; }
  [[nodiscard]] Index fan_out(int layer) const { return sizes[at(layer + 1)]; }
  /// Of a row, where the last layer is adapted in closed form: what the layer is fed, and a 1.
  [[nodiscard]] Index features() const { return fan_in(depth - 1) + 1; }
  [[nodiscard]] bool is_last(int layer) const { return layer == depth - 1; }
  [[nodiscard]] const ActivationSpec& activation(int layer) const {
    return is_last(layer) ? kLinear : activations[at(layer)];
  }
  [[nodiscard]] Norm norm(int layer) const { return norms[at(layer)]; }
  [[nodiscard]] bool normalized(int layer) const { return norm(layer) != Norm::none; }
  /// Whether any layer is.
  [[nodiscard]] bool normalized() const {
    for (int l = 0; l < depth; ++l) {
      if (normalized(l)) return true;
    }
    return false;
  }

  /// Whether any layer is, by `wanted`.
  [[nodiscard]] bool normalized(Norm wanted) const {
    for (int l = 0; l < depth; ++l) {
      if (norm(l) == wanted) return true;
    }
    return false;
  }

  static constexpr std::size_t at(int i) { return static_cast<std::size_t>(i); }
};

}  // namespace FOMAML_FAST_NAMESPACE
