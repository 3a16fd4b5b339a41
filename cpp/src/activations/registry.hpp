// Every activation by identifier and by name, generated from registry.def.
#pragma once

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

/// Calls `visitor(Struct{})` with the activation's type: dispatch once per layer, not per element.
template <class Visitor>
decltype(auto) visit_activation(ActivationId id, Visitor&& visitor) {
  switch (id) {
#define FOMAML_FAST_ACTIVATION(identifier, Struct) \
  case ActivationId::identifier:                   \
    return visitor(activations::Struct{});
#include "activations/registry.def"
#undef FOMAML_FAST_ACTIVATION
  }
  __builtin_unreachable();
}

inline bool activation_needs_input(ActivationId id) {
  return visit_activation(id, []<class A>(A) { return A::needs_input; });
}

}  // namespace FOMAML_FAST_NAMESPACE
