// Every activation by identifier and by name, generated from registry.def.
#pragma once

#include <algorithm>

#include "activations/all.hpp"  // generated from registry.def

namespace FOMAML_FAST_NAMESPACE {

enum class ActivationId : std::uint8_t {
#define FOMAML_FAST_ACTIVATION(identifier, Struct) identifier,
#include "activations/registry.def"
#undef FOMAML_FAST_ACTIVATION
};

inline constexpr const char* kActivationNames[] = {
#define FOMAML_FAST_ACTIVATION(identifier, Struct) activations::Struct::name,
#include "activations/registry.def"
#undef FOMAML_FAST_ACTIVATION
};

/// An activation's own options: few, for a network has room for many layers.
inline constexpr std::size_t kMostActivationOptions = 2;
#define FOMAML_FAST_ACTIVATION(identifier, Struct) \
  static_assert(options_of<activations::Struct>().size() <= kMostActivationOptions);
#include "activations/registry.def"
#undef FOMAML_FAST_ACTIVATION

namespace activations {
inline constexpr Parameters kDefaults[] = {
#define FOMAML_FAST_ACTIVATION(identifier, Struct) default_parameters<Struct>(),
#include "activations/registry.def"
#undef FOMAML_FAST_ACTIVATION
};
}  // namespace activations

/// An activation and the values of its options. Not initialised: plans have room for many.
struct ActivationSpec {
  ActivationId id;
  std::array<double, kMostActivationOptions> options;

  ActivationSpec() = default;
  constexpr ActivationSpec(ActivationId which, const Parameters& parameters) : id(which) {
    for (std::size_t i = 0; i < options.size(); ++i) options[i] = parameters.value[i];
  }
  /// With the defaults of its options.
  constexpr ActivationSpec(ActivationId which)
      : ActivationSpec(which, activations::kDefaults[static_cast<std::size_t>(which)]) {}

  [[nodiscard]] FOMAML_FAST_INLINE Parameters parameters() const {
    Parameters all;
    std::copy(options.begin(), options.end(), all.value.begin());
    return all;
  }
};

/// What stands where nothing is applied: behind the last layer.
inline constexpr ActivationSpec kLinear{ActivationId::identity};

/// Calls `visitor` with the activation itself: dispatch once per layer, not per element.
template <class Visitor>
decltype(auto) visit_activation(const ActivationSpec& spec, Visitor&& visitor) {
  switch (spec.id) {
#define FOMAML_FAST_ACTIVATION(identifier, Struct) \
  case ActivationId::identifier:                   \
    return visitor(make_with<activations::Struct>(spec.parameters()));
#include "activations/registry.def"
#undef FOMAML_FAST_ACTIVATION
  }
  __builtin_unreachable();
}

/// What an engine's plan asks of an activation.
struct ActivationFacts {
  bool needs_input, curved, is_identity;
  Fusion fusion;
};
inline ActivationFacts facts_of(const ActivationSpec& spec) {
  return visit_activation(spec, []<class A>(const A& activation) {
    if constexpr (A::fusion != Fusion::none) {
      static_assert(!A::needs_input, "what is fused knows the outputs alone");
    }
    return ActivationFacts{activation.needs_input, A::curved, A::is_identity, A::fusion};
  });
}

}  // namespace FOMAML_FAST_NAMESPACE
