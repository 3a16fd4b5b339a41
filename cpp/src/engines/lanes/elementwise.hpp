// Activations over matrices of packs, all of the same layout. The activation is dispatched once per
// call.
#pragma once

#include "engines/lanes/shapes.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

/// h = sigma(z); h may be z.
template <class V>
void activate(const ActivationSpec& activation, const Grid& grid, const V* z, V* h);

/// d = dh * sigma'(s), s being z or h as the activation wants it; d may be dh.
template <class V>
void times_slope(const ActivationSpec& activation, const Grid& grid, const V* s, const V* dh, V* d);

/// rd = rd * sigma'(s) + dh * sigma''(s) * rz, the tangent of d = dh * sigma'(s).
template <class V>
void slope_tangent(const ActivationSpec& activation, const Grid& grid, const V* s, const V* dh,
                   const V* rz, V* rd);

}  // namespace FOMAML_FAST_NAMESPACE::lanes
