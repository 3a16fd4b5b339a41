// The Lanes engine: one SIMD lane per task.
//
// Tasks go in groups of kLanes; every scalar of a task's computation is one lane of a pack, so the
// arithmetic needs no padding of widths, no transposes and no shuffles, and costs the same for a
// layer 1 wide as for one 40 wide. What it costs is memory: a group holds kLanes networks at once.
#pragma once

#include "engines/engine.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// Plain SGD inside, every activation and loss, ragged tasks, row coefficients, first order and
/// exact; no trace of the adaptation.
template <class T>
Engine<T> lanes_engine();

}  // namespace FOMAML_FAST_NAMESPACE
