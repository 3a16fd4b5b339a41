// The reference engine: every feature, one task at a time, written to be read.
#pragma once

#include "engines/engine.hpp"

namespace FOMAML_FAST_NAMESPACE {

template <class T>
Engine<T> reference_engine();

}  // namespace FOMAML_FAST_NAMESPACE
