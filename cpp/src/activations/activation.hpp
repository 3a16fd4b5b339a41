// The activation contract.
//
// An activation is a struct in a file of its own, derived from Activation, with
//   name            what Python calls it
//   apply(z)        sigma
//   d1(s), d2(s)    sigma', sigma'' at s = z if needs_input, else at s = h = apply(z)
//   d3(s), d4(s)    the next two where it is curved: of jets, whose second derivatives over the
//                   inputs are differentiated over the parameters
// written for any pack, and whatever of Activation's facts is not so. One that has hyper-parameters
// lists them in `options` (base/options.hpp) and is constructed from their values; one without has
// static functions. Networks keep z only where needs_input asks for it. NaN must come through
// apply. Adding one: a file here, and a line in registry.def.
#pragma once

#include "base/options.hpp"
#include "kernels/math.hpp"
#include "kernels/vector_math.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// What of an activation is worth doing while the sums of a matrix product are in registers.
enum class Fusion : std::uint8_t {
  none,   ///< nothing: too much arithmetic, or a derivative that needs z
  slope,  ///< sigma' is light; sigma has constants, which take the registers of some products
  all,    ///< sigma and its derivatives are a comparison, or less
};

/// How weights of a layer are drawn unless the user says otherwise.
enum class Initialization : std::uint8_t {
  lecun_normal,    ///< variance 1 / fan_in (LeCun et al. 1998)
  he_normal,       ///< variance 2 / fan_in, for rectifiers (He et al. 2015)
  glorot_uniform,  ///< variance 2 / (fan_in + fan_out), for sigmoids (Glorot & Bengio 2010)
};
inline constexpr const char* kInitializationNames[] = {"lecun_normal", "he_normal",
                                                       "glorot_uniform"};

/// What holds of an activation that does not say otherwise.
struct Activation {
  static constexpr bool needs_input = true;  ///< the derivatives are functions of z, not of h
  static constexpr bool curved = true;       ///< sigma'' is not 0 everywhere
  static constexpr bool is_identity = false;
  static constexpr Fusion fusion = Fusion::none;
  static constexpr Initialization initialization = Initialization::lecun_normal;
};

/// The tangent of u sigma'(z), from those of u and z.
template <class A, class V>
FOMAML_FAST_INLINE V derivative_tangent(const A& activation, V s, V u, V ru, V rz) {
  return ru * activation.d1(s) + u * activation.d2(s) * rz;
}

}  // namespace FOMAML_FAST_NAMESPACE
