// The Lanes engine: one SIMD lane per task.
//
// Tasks go in groups of kLanes; every scalar of a task's computation is one lane of a pack, so the
// arithmetic needs no shuffles, no transposes and no rounding up of widths to vectors, and costs
// the same for a layer 1 wide as for one 40 wide. What it costs is memory: a group holds kLanes
// networks at once; and it costs as much however many of its lanes hold a task. When it is wise:
// engines/lanes/cost.cpp.
#pragma once

#include "engines/engine.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// Every algorithm, activation, loss and normalisation, context, ragged tasks and row coefficients;
/// not products with the Jacobian, and neither ragged rows under batch normalisation.
template <class T>
Engine<T> lanes_engine();

}  // namespace FOMAML_FAST_NAMESPACE
