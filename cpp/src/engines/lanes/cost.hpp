// What a problem costs in Lanes.
#pragma once

#include "engines/engine.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

/// Time of Lanes over time of Rows. Lanes without a task cost as much as those with one.
template <class T>
double cost(const Problem& problem);

/// Lanes without a task compute as much as those with one.
Work work(const Problem& problem, Index lanes);

}  // namespace FOMAML_FAST_NAMESPACE::lanes
