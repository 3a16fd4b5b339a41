// The loss of every lane's outputs, row after row.
#pragma once

#include "engines/lanes/lane_rows.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

/// Sum over the rows, or over each of their outputs alone, of c l(o, y), where o is [rows, n]. With
/// `d`, also `scale` times its gradient on the outputs. What has coefficient 0 adds nothing, not
/// even a NaN. Outputs of classes that a task does not have are overwritten, for `output_curvature`
/// too.
template <class T>
Vec<T> output_loss(Index n, const LaneRows<T>& rows, Vec<T>* o, Vec<T>* d, T scale = 1);

/// rd = scale c (Hessian of l on the outputs) . ro
template <class T>
void output_curvature(Index n, const LaneRows<T>& rows, const Vec<T>* o, const Vec<T>* ro,
                      Vec<T>* rd, T scale);

}  // namespace FOMAML_FAST_NAMESPACE::lanes
