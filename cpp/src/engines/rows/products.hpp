// The matrix products of a network, with the elementwise work fused that is worth fusing.
//
// Activations that say so (Fusion) are applied while the sums are still in registers; the others
// store z, and elementwise.hpp does the rest.
#pragma once

#include "activations/registry.hpp"
#include "kernels/long_product.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

/// C = start + A B.
template <class T>
void multiply_add(const Product<T>& product);

/// The same where B's rows are rows of a set: summed so that many lose no more than a few.
/// `buffers` may lack where there are few.
template <class T>
void multiply_add_rows(const Product<T>& product, const LongSums<T>& buffers);

/// C += A B, the product being summed from 0.
template <class T>
void multiply_accumulate(const Product<T>& product);

/// C = scale (start + A B).
template <class T>
void multiply_scaled(const Product<T>& product, T scale);

/// C = sigma(start + A B), for a fused activation.
template <class T>
void multiply_apply(const Product<T>& product, const ActivationSpec& activation);

/// C = (start + A B) * sigma', for a fused activation whose outputs are h [rows, stride].
template <class T>
void multiply_derivative(const Product<T>& product, const ActivationSpec& activation, const T* h,
                         Index stride);

/// kept = start + A B, C = kept * sigma', for a fused activation that is curved, whose outputs are
/// h; h and kept are [rows, stride].
template <class T>
void multiply_derivative_keep(const Product<T>& product, const ActivationSpec& activation,
                              const T* h, Index stride, T* kept);

/// C = (start + A B) * sigma' + u rz sigma'': multiply_derivative under the R-operator, u being
/// what multiply_derivative_keep kept; h, u and rz are [rows, stride].
template <class T>
void multiply_derivative_rule(const Product<T>& product, const ActivationSpec& activation,
                              const T* h, const T* u, const T* rz, Index stride);

}  // namespace FOMAML_FAST_NAMESPACE::rows
