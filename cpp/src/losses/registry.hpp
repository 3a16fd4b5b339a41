// Every loss by identifier and by name, generated from registry.def.
#pragma once

#include "losses/all.hpp"  // generated from registry.def

namespace FOMAML_FAST_NAMESPACE {

enum class LossId : std::uint8_t {
#define FOMAML_FAST_LOSS(identifier, Struct) identifier,
#include "losses/registry.def"
#undef FOMAML_FAST_LOSS
};

inline constexpr const char* kLossNames[] = {
#define FOMAML_FAST_LOSS(identifier, Struct) losses::Struct::name,
#include "losses/registry.def"
#undef FOMAML_FAST_LOSS
};

/// Calls `visitor(Struct{})` with the loss's type.
template <class Visitor>
decltype(auto) visit_loss(LossId id, Visitor&& visitor) {
  switch (id) {
#define FOMAML_FAST_LOSS(identifier, Struct) \
  case LossId::identifier:                   \
    return visitor(losses::Struct{});
#include "losses/registry.def"
#undef FOMAML_FAST_LOSS
  }
  __builtin_unreachable();
}

inline Targets loss_targets(LossId id) {
  return visit_loss(id, []<class L>(L) { return L::targets; });
}

/// A loss and what parameterises it.
struct LossSpec {
  LossId id = LossId::mse;
  LossParameter parameter{};

  [[nodiscard]] Targets targets() const { return loss_targets(id); }
};

}  // namespace FOMAML_FAST_NAMESPACE
