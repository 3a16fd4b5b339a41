// What was compiled, and what it can compute with: names of all families, threads, engines.
#pragma once

#include "api/engines.hpp"
#include "base/parallel.hpp"
#include "kernels/simd.hpp"
#include "meta/algorithm.hpp"
#include "outer/registry.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

/// "gcc 12.2.0", or what else compiled the core.
const char* compiler();
/// The version of Eigen that the reference engine was compiled with.
const char* eigen_version();

}  // namespace FOMAML_FAST_NAMESPACE::api
