// Estimated times are relative to that of Rows, which is 1.
#pragma once

namespace FOMAML_FAST_NAMESPACE {

/// Over that of Rows: the reference engine is chosen where no other engine computes the problem, or
/// where one says that it costs more.
inline constexpr double kReferenceCost = 2;

}  // namespace FOMAML_FAST_NAMESPACE
