// Every loss by identifier and by name, generated from registry.def.
#pragma once

#include <type_traits>

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

/// A loss and the values of its options.
struct LossSpec {
  LossId id = LossId::mse;
  Parameters parameters{};
};

/// Calls `visitor` with the loss itself.
template <class Visitor>
decltype(auto) visit_loss(const LossSpec& spec, Visitor&& visitor) {
  switch (spec.id) {
#define FOMAML_FAST_LOSS(identifier, Struct) \
  case LossId::identifier:                   \
    return visitor(make_with<losses::Struct>(spec.parameters));
#include "losses/registry.def"
#undef FOMAML_FAST_LOSS
  }
  __builtin_unreachable();
}

/// What a problem asks of a loss.
struct LossFacts {
  Targets targets;
  bool masks_classes;
  bool averages_outputs;
  int of_numbers;  ///< id of the loss that stands in where targets are numbers; -1: none
};

namespace losses {
/// The number of a struct in the registry; -1 for void.
template <class Wanted>
constexpr int number_of() {
  int number = 0, found = -1;
#define FOMAML_FAST_LOSS(identifier, Struct)                    \
  if constexpr (std::is_same_v<Wanted, Struct>) found = number; \
  ++number;
#include "losses/registry.def"
#undef FOMAML_FAST_LOSS
  return found;
}
}  // namespace losses

inline constexpr LossFacts kLossFacts[] = {
#define FOMAML_FAST_LOSS(identifier, Struct)                                                 \
  {losses::Struct::targets, losses::Struct::masks_classes, losses::Struct::averages_outputs, \
   losses::number_of<losses::Struct::OfNumbers>()},
#include "losses/registry.def"
#undef FOMAML_FAST_LOSS
};

inline const LossFacts& facts_of(const LossSpec& spec) {
  return kLossFacts[static_cast<std::size_t>(spec.id)];
}
/// Whether a row's target is a class index.
inline bool takes_labels(const LossSpec& spec) { return facts_of(spec).targets == Targets::labels; }
/// The loss of rows whose targets are numbers: the one that stands in, if any.
inline LossSpec of_numbers(const LossSpec& spec) {
  const int instead = facts_of(spec).of_numbers;
  return instead < 0 ? spec : LossSpec{static_cast<LossId>(instead), spec.parameters};
}

}  // namespace FOMAML_FAST_NAMESPACE
