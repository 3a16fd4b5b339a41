// Every inner optimiser by identifier and by name, generated from registry.def.
#pragma once

#include "inner/all.hpp"  // generated from registry.def

namespace FOMAML_FAST_NAMESPACE {

enum class InnerId : std::uint8_t {
#define FOMAML_FAST_INNER(identifier, Struct) identifier,
#include "inner/registry.def"
#undef FOMAML_FAST_INNER
};

inline constexpr const char* kInnerNames[] = {
#define FOMAML_FAST_INNER(identifier, Struct) inner::Struct::name,
#include "inner/registry.def"
#undef FOMAML_FAST_INNER
};

/// Calls `visitor(Struct{})` with the inner optimiser's type.
template <class Visitor>
decltype(auto) visit_inner(InnerId id, Visitor&& visitor) {
  switch (id) {
#define FOMAML_FAST_INNER(identifier, Struct) \
  case InnerId::identifier:                   \
    return visitor(inner::Struct{});
#include "inner/registry.def"
#undef FOMAML_FAST_INNER
  }
  __builtin_unreachable();
}

/// State vectors per parameter of an optimiser with these options.
inline int inner_states(InnerId id, const Parameters& parameters) {
  return visit_inner(id, [&]<class O>(O) { return O::states(parameters); });
}

/// Whether the direction is the gradient itself: engines fuse such steps.
inline bool follows_gradient(InnerId id, const Parameters& parameters) {
  return visit_inner(id, [&]<class O>(O) {
    if constexpr (requires { O::follows_gradient(parameters); }) {
      return O::follows_gradient(parameters);
    } else {
      return false;
    }
  });
}

}  // namespace FOMAML_FAST_NAMESPACE
