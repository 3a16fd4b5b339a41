// Every engine, from the registry; and which one computes a problem.
#pragma once

#include "engines/engine.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

/// Names in registry order.
int engine_count();
const char* engine_name(int index);

/// Forces an engine for the whole process, for tests; -1 lets the planner choose. The initial
/// value is FOMAML_FAST_ENGINE's, if set.
void force_engine(int index);
int forced_engine();

/// Index of the engine that computes `problem`; -1 if the forced one does not support it.
template <class T>
int choose_engine(const Problem& problem);

template <class T>
Engine<T> engine(int index);

}  // namespace FOMAML_FAST_NAMESPACE::api
