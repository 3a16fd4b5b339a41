// An algorithm as callers describe it, and the same at one network: which layers adapt, at which
// rates.
#pragma once

#include "api/fault.hpp"
#include "api/layer_choice.hpp"
#include "api/network.hpp"
#include "engines/engine.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

/// Numbers that an algorithm brings along, in both precisions so that no call converts them.
struct Numbers {
  const float* narrow = nullptr;
  const double* wide = nullptr;
  Shape shape{};

  template <class T>
  [[nodiscard]] const T* as() const {
    if constexpr (sizeof(T) == sizeof(double)) {
      return wide;
    } else {
      return narrow;
    }
  }
  [[nodiscard]] bool given() const { return wide != nullptr; }
  [[nodiscard]] Index size() const { return given() ? shape.size() : 0; }
};

/// What depends on the network is decided at the call. Whoever made it keeps the memory.
struct Algorithm {
  /// The shape that learned rates are spread over.
  enum class Spread : std::uint8_t { as_given, scalar, layer, step_layer, parameter };
  static constexpr const char* kSpreadNames[] = {"as_given", "scalar", "layer", "step_layer",
                                                 "parameter"};

  AlgorithmSpec spec{};  ///< but for `layers` and what follows from the rates
  LayerChoice adapts{};
  Numbers rates;  ///< [], [L], [S, L] or [P]; not looked at where the head has a closed form
  Spread learned = Spread::as_given;
  Numbers step_weights;  ///< [S], or none
  bool has_query_loss = false;
  LossSpec query_loss{};        ///< instead of the network's
  bool owns_query_loss = true;  ///< false: the caller computes it between calls

  [[nodiscard]] const LossSpec* loss_of_query() const {
    return has_query_loss ? &query_loss : nullptr;
  }
};

/// Whether an algorithm's layers, context and rates are some of that network. `rates`: those that
/// stand in for the algorithm's own; not given, or an empty array, for its own, which heads in
/// closed form do not have: they must be given (first_rates).
bool fits(const Algorithm& algorithm, const Network& net, const Argument& rates, DType dtype,
          Fault& fault);

/// The shape of learned rates at a network: false where the algorithm's own cannot be spread so.
bool learned_shape(const Algorithm& algorithm, const Network& net, Shape& shape, Fault& fault);
/// Whether the algorithm's own numbers are finite in that dtype, too.
bool fits_dtype(const Algorithm& algorithm, DType dtype, Fault& fault);
/// Writes rates before any is learned, in that shape.
template <class T>
void first_rates(const Algorithm& algorithm, const Network& net, const Shape& shape, T* to);

/// An algorithm at one network: its part of a call.
template <class T>
class AlgorithmAt {
 public:
  AlgorithmAt(const Algorithm& algorithm, const Network& net, const Argument& rates);
  /// `call` refers to this object.
  void fill(Problem& problem, Call<T>& call) const;
  /// Rates that the caller sees: those given, in their shape.
  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] Index n_given() const;
  /// The gradient over the rates as the caller sees them, from that of all layers' rates.
  void collapse(const T* of_all, T* to, Index n_rates) const;

 private:
  AlgorithmSpec spec_;
  std::array<T, kMaxLayers> one_;  ///< one rate for every layer, the usual case
  const T* rates_ = nullptr;
  const T* step_weights_ = nullptr;
  Index rate_rows_ = 1;
  Shape shape_{};
};

}  // namespace FOMAML_FAST_NAMESPACE::api
