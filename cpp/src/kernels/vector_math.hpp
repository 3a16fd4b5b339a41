// Elementary functions of vector packs: exp, expm1, log, log1p, tanh, sin, cos, sqrt.
//
// NaN comes through, infinities, overflow and underflow end where the C library's do. Largest
// errors seen in dense sweeps, in ulp (cpp/tests/test_vector_math.cpp holds them to little more):
//          exp  expm1  log  log1p  tanh                      sin, cos
//   float  1.0   1.5   0.8   0.8   4.5 (5.2 without FMA)   1.6
//   double 1.0   2.2   0.8   0.8   2.6                     1.8
// sin and cos are measured in ulp of numbers in [1/2, 1): an absolute error.
#pragma once

#include "kernels/vector_exp.hpp"
#include "kernels/vector_log.hpp"
#include "kernels/vector_sin.hpp"
#include "kernels/vector_tanh.hpp"

namespace FOMAML_FAST_NAMESPACE::math {

template <class V>
  requires(!is_scalar_pack<V>)
FOMAML_FAST_INLINE V sqrt(V x) {
  // The compiler turns this loop into the one vector instruction every ISA has.
  Element<V> lanes[kLanes<Element<V>>];
  store(lanes, x);
  for (Element<V>& lane : lanes) lane = std::sqrt(lane);
  return load<V>(lanes);
}

}  // namespace FOMAML_FAST_NAMESPACE::math
