// The Lanes engine: one SIMD lane per task.
//
// Tasks go in groups of kLanes; every scalar of a task's computation is one lane of a pack, so the
// arithmetic needs no padding of widths, no transposes and no shuffles, and costs the same for a
// layer 1 wide as for one 40 wide. What it costs is memory: a group holds kLanes networks at once.
//
// When it is wise, measured against Rows (AVX2, one core with 1 MB of second-level cache, float32,
// time of Lanes over time of Rows; exact as first order):
//   network 8-w-w-1, 64 tasks, K = Q = 10    w    8    16    32    40    48    64    96   128
//                                                0.28  0.50  0.65  0.66  0.72  0.81  0.86  1.10
//   P * kVectorBytes, in KB                        5    14    44    65    91   154   329   569
//   8-32-32-1, 64 tasks                      K    1     5    10    20    50   100
//                                                0.48  0.69  0.65  0.75  0.88  0.89
// These are for full groups: a group costs the same however many of its lanes hold a task, so
// divide by the share of lanes used (1-40-40-1: with 5 tasks in 8 lanes both cost the same). In
// float64 the ratios are 0.05 to 0.15 higher.
#pragma once

#include "engines/engine.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// Every algorithm, activation, loss and normalisation, context, ragged tasks and row coefficients;
/// not products with the Jacobian, and neither ragged rows under batch normalisation.
template <class T>
Engine<T> lanes_engine();

}  // namespace FOMAML_FAST_NAMESPACE
