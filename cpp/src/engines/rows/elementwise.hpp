// Passes over whole activations and parameters, for work that is not fused into the products.
// Lengths are multiples of the vector, since buffers are padded.
#pragma once

#include "activations/registry.hpp"
#include "kernels/simd.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

/// h = sigma(z); h may be z.
template <class T>
void apply(const ActivationSpec& activation, const T* z, Index count, T* h);

/// d = u * sigma'(s); d may be u.
template <class T>
void times_derivative(const ActivationSpec& activation, const T* s, const T* u, Index count, T* d);

/// rd = ru * sigma'(s) + u * sigma''(s) * rz: R of `u * sigma'(z)` (Pearlmutter 1994).
template <class T>
void derivative_rule(const ActivationSpec& activation, const T* s, const T* u, const T* rz,
                     const T* ru, Index count, T* rd);

/// to = scale * from, a [rows, stride] matrix; `sum` = `start` + the sum of its rows.
template <class T>
void scale_rows(const T* from, Index rows, Index stride, T scale, T* to, const T* start, T* sum);

/// sum = start + the sum of the rows of a [rows, stride] matrix; `start` may be `sum`. As exact for
/// many rows as for few.
template <class T>
void add_rows(const T* from, Index rows, Index stride, const T* start, T* sum);

/// to += from.
template <class T>
void accumulate(const T* from, Index count, T* to);

/// to += factor * from, with what that loses kept in `error`.
template <class T>
void accumulate(const T* from, Index count, T factor, T* to, T* error);

/// to = scale * (the sum of `terms` vectors, `distance` apart), in their order.
template <class T>
void sum_terms(const T* from, Index terms, Index distance, Index count, T scale, T* to);

/// True if every number is finite.
template <class T>
bool is_finite(const T* x, Index count);

}  // namespace FOMAML_FAST_NAMESPACE::rows
