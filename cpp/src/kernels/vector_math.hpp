// Elementary functions of vector packs: exp, log, log1p, tanh, sqrt.
//
// NaN comes through, infinities and overflow end where the C library's do, and no lane looks at
// another. Largest errors seen over dense sweeps (cpp/tests/test_vector_math.cpp asserts bounds a
// little above): float exp 1.1, log 0.9, log1p 1.2, tanh 2.6 ulp; double exp 1.0, log 0.9,
// log1p 1.2, tanh 2.1 ulp.
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
