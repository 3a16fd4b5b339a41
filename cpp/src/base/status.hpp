// Status codes. The core reports by them: it throws nothing and prints nothing.
#pragma once

#include "base/config.hpp"

namespace FOMAML_FAST_NAMESPACE {

enum class Status : int {
  ok = 0,
  out_of_memory,  ///< the workspace could not be allocated
  diverged,       ///< some task met a number that is not finite; `diverged[t]` tells
  interrupted,    ///< the caller's interrupt hook asked to stop
  unsupported,    ///< the engine that was forced does not compute the request
};

}  // namespace FOMAML_FAST_NAMESPACE
