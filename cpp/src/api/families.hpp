// Every member of every family, for callers that list them: one call of a visitor a member.
#pragma once

#include "activations/registry.hpp"
#include "inner/registry.hpp"
#include "losses/registry.hpp"
#include "outer/registry.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

template <class Visitor>
void for_each_activation(Visitor&& visitor) {
#define FOMAML_FAST_ACTIVATION(identifier, Struct) \
  visitor.template operator()<activations::Struct>();
#include "activations/registry.def"
#undef FOMAML_FAST_ACTIVATION
}

template <class Visitor>
void for_each_loss(Visitor&& visitor) {
#define FOMAML_FAST_LOSS(identifier, Struct) visitor.template operator()<losses::Struct>();
#include "losses/registry.def"
#undef FOMAML_FAST_LOSS
}

template <class Visitor>
void for_each_inner(Visitor&& visitor) {
#define FOMAML_FAST_INNER(identifier, Struct) visitor.template operator()<inner::Struct>();
#include "inner/registry.def"
#undef FOMAML_FAST_INNER
}

template <class Visitor>
void for_each_outer(Visitor&& visitor) {
#define FOMAML_FAST_OUTER(identifier, Struct) visitor.template operator()<outer::Struct>();
#include "outer/registry.def"
#undef FOMAML_FAST_OUTER
}

}  // namespace FOMAML_FAST_NAMESPACE::api
