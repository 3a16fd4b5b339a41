// Elementary functions of vector packs: exp, log, log1p, tanh, sqrt.
//
// NaN comes through, infinities, overflow and underflow end where the C library's do. Largest
// errors seen in dense sweeps, in ulp (cpp/tests/test_vector_math.cpp holds them to little more):
//          exp   log  log1p  tanh
//   float  1.0   0.8   0.8   4.5 (5.2 without FMA)
//   double 1.0   0.8   0.8   2.6
#pragma once

#include "kernels/vector_exp.hpp"
#include "kernels/vector_log.hpp"
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
