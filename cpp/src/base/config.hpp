// Build facts that every room shares.
#pragma once

#include <cstddef>
#include <cstdint>

// One binary holds one ISA, and every ISA has a namespace of its own, so that two builds loaded
// into one process can never merge their template instantiations.
#ifndef FOMAML_FAST_NAMESPACE
#define FOMAML_FAST_NAMESPACE fomaml_fast
#endif
#ifndef FOMAML_FAST_ISA_NAME
#define FOMAML_FAST_ISA_NAME "generic"
#endif

#define FOMAML_FAST_INLINE __attribute__((always_inline)) inline

namespace FOMAML_FAST_NAMESPACE {

using Index = std::int64_t;

/// Deepest network: fixed, so that a spec is a plain value and needs no allocation.
inline constexpr int kMaxLayers = 32;

/// Bytes of a cache line, and of the widest vector of any ISA.
inline constexpr Index kLineBytes = 64;

}  // namespace FOMAML_FAST_NAMESPACE
