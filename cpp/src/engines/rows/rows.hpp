// The Rows engine: one task at a time per worker, vectors along the units of a layer.
#pragma once

#include "engines/engine.hpp"

namespace FOMAML_FAST_NAMESPACE {

template <class T>
Engine<T> rows_engine();

}  // namespace FOMAML_FAST_NAMESPACE
