// Every outer optimiser by identifier and by name, generated from registry.def.
#pragma once

#include "outer/all.hpp"  // generated from registry.def

namespace FOMAML_FAST_NAMESPACE {

enum class OuterId : std::uint8_t {
#define FOMAML_FAST_OUTER(identifier, Struct) identifier,
#include "outer/registry.def"
#undef FOMAML_FAST_OUTER
};

inline constexpr const char* kOuterNames[] = {
#define FOMAML_FAST_OUTER(identifier, Struct) outer::Struct::name,
#include "outer/registry.def"
#undef FOMAML_FAST_OUTER
};

/// Calls `visitor(Struct{})` with the outer optimiser's type.
template <class Visitor>
decltype(auto) visit_outer(OuterId id, Visitor&& visitor) {
  switch (id) {
#define FOMAML_FAST_OUTER(identifier, Struct) \
  case OuterId::identifier:                   \
    return visitor(outer::Struct{});
#include "outer/registry.def"
#undef FOMAML_FAST_OUTER
  }
  __builtin_unreachable();
}

}  // namespace FOMAML_FAST_NAMESPACE
