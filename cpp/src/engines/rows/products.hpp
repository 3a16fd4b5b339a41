// The matrix products of a network, with the elementwise work fused that is worth fusing.
//
// relu, tanh and identity are applied while the sums are still in registers; other activations
// store z, and elementwise.hpp does the rest.
#pragma once

#include "activations/registry.hpp"
#include "kernels/micro_kernel.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

/// Whether sigma (apply) and sigma' (times_derivative) are fused into the products.
constexpr bool is_fused(ActivationId id) {
  return id == ActivationId::relu || id == ActivationId::tanh || id == ActivationId::identity;
}

/// C = start + A B.
template <class T>
void multiply_add(const Product<T>& product);

/// C = scale (start + A B).
template <class T>
void multiply_scaled(const Product<T>& product, T scale);

/// C = sigma(start + A B), for a fused activation.
template <class T>
void multiply_apply(const Product<T>& product, ActivationId activation);

/// C = (start + A B) * sigma', for a fused activation whose outputs are h [rows, stride].
template <class T>
void multiply_derivative(const Product<T>& product, ActivationId activation, const T* h,
                         Index stride);

}  // namespace FOMAML_FAST_NAMESPACE::rows
