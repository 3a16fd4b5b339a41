// The activation contract.
//
// An activation is a struct in a file of its own, with
//   name            what Python calls it
//   needs_input     whether the derivatives are functions of the input z; otherwise of h = apply(z)
//   apply(z)        sigma
//   d1(s), d2(s)    sigma', sigma'' at s = z if needs_input, else at s = h
// written for any pack. Networks keep z only where needs_input asks for it. NaN must come through
// apply. Adding one: a file here, and a line in registry.def.
#pragma once

#include "kernels/math.hpp"
#include "kernels/vector_math.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// The tangent of u sigma'(z), from those of u and z.
template <class Activation, class V>
FOMAML_FAST_INLINE V derivative_tangent(V s, V u, V ru, V rz) {
  return ru * Activation::d1(s) + u * Activation::d2(s) * rz;
}

}  // namespace FOMAML_FAST_NAMESPACE
