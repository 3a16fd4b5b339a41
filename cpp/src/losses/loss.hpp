// The loss contract.
//
// A loss is a struct in a file of its own, derived from Loss, written for one row of outputs and
// any pack (a scalar, or a vector whose lanes are rows or tasks of their own):
//   name                                 what Python calls it
//   value(o, y, n)                       the row's loss
//   gradient(o, y, n, d)                 the row's loss, and d = its gradient on the outputs
//   hessian_vector(o, y, ro, n, rd)      rd = (Hessian on the outputs) . ro
// and whatever of Loss's facts is not so. One that has hyper-parameters lists them in `options`
// (base/options.hpp) and is constructed from their values; one without has static functions. o, y,
// ro, d, rd are n consecutive packs and do not overlap; y is one pack holding the class where
// targets are labels. The mean over rows and the rows' coefficients are the caller's. Adding one: a
// file here, and a line in registry.def.
#pragma once

#include <limits>

#include "base/options.hpp"
#include "kernels/compensated.hpp"
#include "kernels/math.hpp"
#include "kernels/vector_math.hpp"

namespace FOMAML_FAST_NAMESPACE {

enum class Targets : std::uint8_t {
  values,         ///< n_L numbers a row
  labels,         ///< one class index a row
  probabilities,  ///< n_L numbers a row, none below 0
};
inline constexpr const char* kTargetsNames[] = {"values", "labels", "probabilities"};

/// What holds of a loss that does not say otherwise.
struct Loss {
  static constexpr Targets targets = Targets::values;
  /// Whether outputs are the scores of classes, some of which a task may lack: kAbsentOutput.
  static constexpr bool masks_classes = false;
  /// Whether value(o, y, n) is the mean over j of value(o + j, y + j, 1): only of such a loss can
  /// each output of a row have a coefficient of its own.
  static constexpr bool averages_outputs = false;
  /// Whether outputs are log-odds, above 0 where the target is more likely 1 than 0.
  static constexpr bool logits = false;
  /// The loss, a struct, that stands in where a row's target is numbers all the same.
  using OfNumbers = void;
};

/// Takes the place of the output of a class that a task does not have: its softmax is exactly 0,
/// and no difference of outputs overflows.
template <class T>
inline constexpr T kAbsentOutput = std::numeric_limits<T>::lowest() / 4;

}  // namespace FOMAML_FAST_NAMESPACE
