#include "engines/rows/pass.hpp"

#include "engines/rows/elementwise.hpp"
#include "engines/rows/products.hpp"
#include "kernels/transpose.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

namespace {

// Up to this many rows, updating W' as a product of its own is cheaper than transposing the new W.
constexpr Index kFewRows = 12;

template <class T>
Broadcast<T> by_rows(const T* matrix, Index stride) {
  return {matrix, stride, 1};
}
template <class T>
Broadcast<T> by_columns(const T* matrix, Index stride) {
  return {matrix, 1, stride};
}

template <class T>
const T* layer_input(int l, const Rows<T>& rows, const Pass<T>& pass) {
  return l == 0 ? rows.x : pass.h(l - 1);
}

}  // namespace

template <class T>
void forward(const Plan<T>& plan, const Weights<T>& weights, const Rows<T>& rows,
             const Pass<T>& pass, int first) {
  for (int l = first; l < plan.depth; ++l) {
    const Layer& layer = plan[l];
    const bool fused = is_fused(layer.activation);
    const Product<T> product{rows.count,
                             layer.out_vectors,
                             layer.fan_in,
                             by_rows(layer_input(l, rows, pass), layer.in_stride),
                             weights.weight(layer),
                             repeated_row<T>(weights.bias(layer)),
                             row_major(fused ? pass.h(l) : pass.s(l), layer.out_stride)};
    if (fused) {
      multiply_apply(product, layer.activation);
    } else {
      multiply_add(product);
      apply(layer.activation, pass.s(l), rows.count * layer.out_stride, pass.h(l));
    }
  }
}

template <class T>
void backward(const Plan<T>& plan, const Weights<T>& weights, const Rows<T>& rows,
              const Pass<T>& pass, int first) {
  for (int l = plan.depth - 1; l > first; --l) {
    const Layer &layer = plan[l], &below = plan[l - 1];
    T* delta = pass.d(plan, l - 1, rows.count);
    const bool keeps_upstream = pass.u(l - 1) != nullptr;
    const Product<T> product{rows.count,
                             layer.in_vectors,
                             layer.fan_out,
                             by_rows<T>(pass.d(plan, l, rows.count), layer.out_stride),
                             weights.transposed(layer),
                             zeros<T>(),
                             row_major(keeps_upstream ? pass.u(l - 1) : delta, layer.in_stride)};
    if (is_fused(below.activation) && !keeps_upstream) {
      multiply_derivative<T>(product, below.activation, pass.h(l - 1), below.out_stride);
    } else {
      multiply_add(product);
      times_derivative<T>(below.activation, pass.s(l - 1), product.c.data,
                          rows.count * below.out_stride, delta);
    }
  }
}

template <class T>
void weight_gradient(const Plan<T>& plan, int l, const Rows<T>& rows, const Pass<T>& pass,
                     Columns<const T> start, Columns<T> to) {
  const Layer& layer = plan[l];
  multiply_add<T>({layer.fan_in, layer.out_vectors, rows.count,
                   by_columns(layer_input(l, rows, pass), layer.in_stride),
                   row_major<const T>(pass.d(plan, l, rows.count), layer.out_stride), start, to});
}

template <class T>
void layer_gradient(const Plan<T>& plan, int l, const Rows<T>& rows, const Pass<T>& pass,
                    bool from_zero, const Weights<T>& to) {
  const Layer& layer = plan[l];
  weight_gradient<T>(plan, l, rows, pass, from_zero ? zeros<T>() : to.weight(layer),
                     to.weight(layer));
  if (from_zero) std::fill_n(to.bias(layer), layer.out_stride, T(0));
  add_rows<T>(pass.d(plan, l, rows.count), rows.count, layer.out_stride, to.bias(layer),
              to.bias(layer));
}

template <class T>
void descend(const Plan<T>& plan, const Weights<T>& from, const Weights<T>& to, const T* rates,
             const Rows<T>& rows, const Pass<T>& pass, T* scaled, bool transposes_too, int first) {
  for (int l = plan.depth - 1; l >= 0; --l) {
    const Layer& layer = plan[l];
    scale_rows<T>(pass.d(plan, l, rows.count), rows.count, layer.out_stride, -rates[l], scaled,
                  from.bias(layer), to.bias(layer));
    if (l < first) continue;
    multiply_add<T>({layer.fan_in, layer.out_vectors, rows.count,
                     by_columns(layer_input(l, rows, pass), layer.in_stride),
                     row_major<const T>(scaled, layer.out_stride), from.weight(layer),
                     to.weight(layer)});
    if (l == 0 || !transposes_too) continue;
    if (rows.count < kFewRows) {
      multiply_add<T>({layer.fan_out, layer.in_vectors, rows.count,
                       by_columns<T>(scaled, layer.out_stride),
                       row_major<const T>(pass.h(l - 1), layer.in_stride), from.transposed(layer),
                       to.transposed(layer)});
    } else {
      transpose<T>(to.weight(layer), layer.fan_in, layer.fan_out, to.transposed(layer));
    }
  }
}

#define FOMAML_FAST_ROWS_PASS(T)                                                               \
  template void forward<T>(const Plan<T>&, const Weights<T>&, const Rows<T>&, const Pass<T>&,  \
                           int);                                                               \
  template void backward<T>(const Plan<T>&, const Weights<T>&, const Rows<T>&, const Pass<T>&, \
                            int);                                                              \
  template void layer_gradient<T>(const Plan<T>&, int, const Rows<T>&, const Pass<T>&, bool,   \
                                  const Weights<T>&);                                          \
  template void weight_gradient<T>(const Plan<T>&, int, const Rows<T>&, const Pass<T>&,        \
                                   Columns<const T>, Columns<T>);                              \
  template void descend<T>(const Plan<T>&, const Weights<T>&, const Weights<T>&, const T*,     \
                           const Rows<T>&, const Pass<T>&, T*, bool, int);
FOMAML_FAST_ROWS_PASS(float)
FOMAML_FAST_ROWS_PASS(double)

}  // namespace FOMAML_FAST_NAMESPACE::rows
