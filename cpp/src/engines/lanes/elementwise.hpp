// Activations over whole buffers of packs. Dispatch once per call; h, z, d … are `count` packs.
#pragma once

#include "network/spec.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

/// h = sigma(z); h may be z.
template <class V>
void activate(ActivationId id, const V* z, Index count, V* h);

/// d = dh * sigma'(s), s being z or h as the activation wants it; d may be dh.
template <class V>
void times_slope(ActivationId id, const V* s, const V* dh, Index count, V* d);

/// rd = rd * sigma'(s) + dh * sigma''(s) * rz, the tangent of d = dh * sigma'(s).
template <class V>
void slope_tangent(ActivationId id, const V* s, const V* dh, const V* rz, Index count, V* rd);

}  // namespace FOMAML_FAST_NAMESPACE::lanes
