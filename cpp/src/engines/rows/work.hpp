// What Rows executes.
#pragma once

#include "engines/engine.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

/// Columns of products are padded to whole vectors; a dual first layer works in the span of the
/// support rows.
Work work(const Problem& problem, Index lanes);

}  // namespace FOMAML_FAST_NAMESPACE::rows
