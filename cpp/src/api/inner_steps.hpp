// One inner step of many tasks and its pullback, for losses that the core does not know: the caller
// computes their gradients between the steps.
#pragma once

#include "api/algorithm.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

/// Where step k of every task starts.
template <class T>
struct InnerPoint {
  Index tasks = 0;
  int k = 0;
  const T* thetas = nullptr;     ///< [T, P]
  const T* anchors = nullptr;    ///< theta_0, [T, P]
  const T* gradients = nullptr;  ///< of the support loss, [T, P]
  const T* states = nullptr;     ///< [T, s, P]
};

/// Writes theta_{k+1} [T, P] and the new states [T, s, P].
template <class T>
void inner_step(const Algorithm& algorithm, const Network& net, const Argument& rates,
                const InnerPoint<T>& point, T* thetas, T* states);

/// Cotangents on the way back: those of theta_{k+1} and of the states after the step come in, those
/// before the step go out; the others are written.
template <class T>
struct InnerCotangents {
  T* thetas = nullptr;     ///< [T, P]
  T* states = nullptr;     ///< [T, s, P]
  T* gradients = nullptr;  ///< [T, P]
  T* anchors = nullptr;    ///< [T, P]
  T* rates = nullptr;      ///< [T, R], R in the shape of the engines
};

/// `exact` false: only the cotangents of the rates move.
template <class T>
void inner_pullback(const Algorithm& algorithm, const Network& net, const Argument& rates,
                    const InnerPoint<T>& point, bool exact, const InnerCotangents<T>& cotangents);

/// Numbers in the cotangent of the rates.
template <class T>
Index rate_cotangents(const Algorithm& algorithm, const Network& net, const Argument& rates);

}  // namespace FOMAML_FAST_NAMESPACE::api
