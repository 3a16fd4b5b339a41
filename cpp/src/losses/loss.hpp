// The loss contract.
//
// A loss is a struct in a file of its own, written for one row of outputs and any pack (a scalar,
// or a vector whose lanes are rows or tasks of their own):
//   name, targets                           what Python calls it; what a row's target is
//   value(p, o, y, n)                       the row's loss
//   gradient(p, o, y, n, d)                 the row's loss, and d = its gradient on the outputs
//   hessian_vector(p, o, y, ro, n, rd)      rd = (Hessian on the outputs) . ro
// o, y, ro, d, rd are n consecutive packs and do not overlap; y is one pack holding the class where
// targets are labels. The mean over rows and the rows' coefficients are the caller's. Adding one: a
// file here, and a line in registry.def.
#pragma once

#include <limits>

#include "kernels/compensated.hpp"
#include "kernels/math.hpp"
#include "kernels/vector_math.hpp"

namespace FOMAML_FAST_NAMESPACE {

enum class Targets : std::uint8_t {
  values,  ///< n_L numbers a row
  labels,  ///< one class index a row
};

/// What parameterises a loss (huber's delta, quantile's tau); losses without one ignore it.
struct LossParameter {
  double value = 0;
};

/// Takes the place of the output of a class that a task does not have: its softmax is exactly 0,
/// and no difference of outputs overflows.
template <class T>
inline constexpr T kAbsentOutput = std::numeric_limits<T>::lowest() / 4;

}  // namespace FOMAML_FAST_NAMESPACE
