// What this machine can do at most: the yardstick of the benchmarks.
#pragma once

#include "base/config.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

/// GFLOP/s of independent multiply-adds in registers, `workers` threads at once, for about
/// `milliseconds`.
template <class T>
double multiply_add_gflops(int workers, int milliseconds);

}  // namespace FOMAML_FAST_NAMESPACE::api
