// Hyper-parameters: the one convention of activations, losses, inner and outer optimisers.
//
// A struct of a family that has any lists them, with their defaults, as
//   static constexpr Option options[] = {{"momentum", 0}, {"nesterov", 0}};
// and is given their values, in that order, at run time.
#pragma once

#include <array>
#include <span>

#include "base/config.hpp"

namespace FOMAML_FAST_NAMESPACE {

inline constexpr std::size_t kMostOptions = 8;

/// A hyper-parameter's name and default; flags are 0 or 1.
struct Option {
  const char* name = nullptr;
  double value = 0;
};

/// The values of a struct's options, in their order.
struct Parameters {
  std::array<double, kMostOptions> value{};
};

/// The options of a struct; none where it lists none.
template <class S>
constexpr std::span<const Option> options_of() {
  if constexpr (requires { S::options; }) {
    static_assert(std::size(S::options) <= kMostOptions);
    return S::options;
  } else {
    return {};
  }
}

/// The defaults of a struct's options.
template <class S>
constexpr Parameters default_parameters() {
  Parameters parameters;
  std::size_t i = 0;
  for (const Option& option : options_of<S>()) parameters.value[i++] = option.value;
  return parameters;
}

/// A member of a family that lists options is made of their values, any other of nothing.
template <class S>
constexpr S make_with(const Parameters& parameters) {
  if constexpr (requires { S::options; }) {
    return S(parameters);
  } else {
    return S{};
  }
}

}  // namespace FOMAML_FAST_NAMESPACE
