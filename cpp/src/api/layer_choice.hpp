// Some layers of a network, as callers name them.
#pragma once

#include "api/fault.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

/// Decided at a network. Whoever made it keeps the memory.
struct LayerChoice {
  enum class Kind : std::uint8_t { all, head, body, listed };
  static constexpr const char* kNames[] = {"all", "head", "body", "listed"};

  Kind kind = Kind::all;
  const int* layers = nullptr;  ///< listed: indices, from the end where negative
  int n_layers = 0;

  /// A bit for each layer that is chosen.
  [[nodiscard]] std::uint32_t mask(int depth) const;
  /// Whether a network of that depth has these layers; else the fault names `argument`.
  bool fits(int depth, const char* argument, Fault& fault) const;
};

}  // namespace FOMAML_FAST_NAMESPACE::api
