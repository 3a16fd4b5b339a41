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
const T* layer_input(int l, const RowRange<T>& rows, const Pass<T>& pass) {
  return l == 0 ? rows.x : pass.h(l - 1);
}

}  // namespace

template <class T>
void copy_outputs(const Shapes<T>& shapes, const T* from, Index count, T* to) {
  const Index stride = shapes.last().out_stride;
  std::fill_n(to, count * stride, T(0));
  for (Index r = 0; r < count; ++r) {
    std::copy_n(from + r * shapes.outputs, shapes.outputs, to + r * stride);
  }
}

template <class T>
void forward(const Shapes<T>& shapes, const Weights<T>& weights, const RowRange<T>& rows,
             const Pass<T>& pass, int first, int end) {
  for (int l = first; l < std::min(end, shapes.depth); ++l) {
    const Layer& layer = shapes[l];
    const bool fused = layer.fused && !layer.normalized();
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
      if (layer.normalized()) {
        normalization::apply(pass.norm(l, rows.count), packs<T>(weights.gain(layer)),
                             packs<T>(weights.shift(layer)), packs(pass.s(l)));
      }
      apply(layer.activation, pass.s(l), rows.count * layer.out_stride, pass.h(l));
    }
  }
}

template <class T>
void backward(const Shapes<T>& shapes, const Weights<T>& weights, const RowRange<T>& rows,
              const Pass<T>& pass, int first, int end) {
  for (int l = std::min(end, shapes.depth) - 1; l > first; --l) {
    const Layer &layer = shapes[l], &below = shapes[l - 1];
    T* du = pass.du(l - 1, rows.count);
    const bool keeps_upstream = pass.keeps_dh(l - 1);
    const Product<T> product{
        rows.count,
        layer.in_vectors,
        layer.fan_out,
        by_rows<T>(pass.d(l, rows.count), layer.out_stride),
        weights.transposed(layer),
        zeros<T>(),
        row_major(keeps_upstream && !below.fused ? pass.dh(l - 1) : du, layer.in_stride)};
    if (below.fused && keeps_upstream) {
      multiply_derivative_keep<T>(product, below.activation, pass.h(l - 1), below.out_stride,
                                  pass.dh(l - 1));
    } else if (below.fused) {
      multiply_derivative<T>(product, below.activation, pass.h(l - 1), below.out_stride);
    } else {
      multiply_add(product);
      times_derivative<T>(below.activation, pass.s(l - 1), product.c.data,
                          rows.count * below.out_stride, du);
    }
    through_norm(shapes, weights, rows.count, pass, l - 1);
  }
}

template <class T>
void through_norm(const Shapes<T>& shapes, const Weights<T>& weights, Index rows,
                  const Pass<T>& pass, int l) {
  const Layer& layer = shapes[l];
  if (!layer.normalized()) return;
  T* const d = pass.d(l, rows);
  std::copy_n(pass.du(l, rows), rows * layer.out_stride, d);
  normalization::pull_back(pass.norm(l, rows), packs<T>(weights.gain(layer)), packs(d));
}

template <class T>
void weight_gradient(const Shapes<T>& shapes, int l, const RowRange<T>& rows, const Pass<T>& pass,
                     Columns<const T> start, Columns<T> to) {
  const Layer& layer = shapes[l];
  multiply_add_rows<T>({layer.fan_in, layer.out_vectors, rows.count,
                        by_columns(layer_input(l, rows, pass), layer.in_stride),
                        row_major<const T>(pass.d(l, rows.count), layer.out_stride), start, to},
                       pass.sums());
}

template <class T>
void add_row_gradients(const Shapes<T>& shapes, int l, Index rows, const Pass<T>& pass, T* bias,
                       T* gain, T* shift) {
  const Layer& layer = shapes[l];
  // Before batch normalisation a shift changes nothing: its gradient is 0, and not the rounding
  // that adaptive optimisers would turn into steps.
  if (layer.norm != Norm::batch) {
    add_rows<T>(pass.d(l, rows), rows, layer.out_stride, bias, bias);
  }
  if (!layer.normalized()) return;
  normalization::add_parameter_sums(pass.norm(l, rows), packs(pass.du(l, rows)), packs(gain),
                                    packs(shift));
}

template <class T>
void layer_gradient(const Shapes<T>& shapes, int l, const RowRange<T>& rows, const Pass<T>& pass,
                    bool from_zero, const Weights<T>& to) {
  const Layer& layer = shapes[l];
  weight_gradient<T>(shapes, l, rows, pass, from_zero ? zeros<T>() : to.weight(layer),
                     to.weight(layer));
  if (from_zero) std::fill_n(to.bias(layer), layer.row_parameters(), T(0));
  add_row_gradients(shapes, l, rows.count, pass, to.bias(layer), to.gain(layer), to.shift(layer));
}

template <class T>
const T* descend(const Shapes<T>& shapes, const Weights<T>& from, const Weights<T>& to,
                 const T* rates, const RowRange<T>& rows, const Pass<T>& pass, T* scratch,
                 bool transposes_too, int first) {
  const T* scaled = scratch;
  for (int l = shapes.depth - 1; l >= 0; --l) {
    const Layer& layer = shapes[l];
    const T* const delta = pass.d(l, rows.count);
    if (rates == nullptr) {
      scaled = delta;
      add_rows<T>(delta, rows.count, layer.out_stride, from.bias(layer), to.bias(layer));
    } else {
      scale_rows<T>(delta, rows.count, layer.out_stride, -rates[l], scratch, from.bias(layer),
                    to.bias(layer));
    }
    if (l < first) continue;
    multiply_add_rows<T>(
        {layer.fan_in, layer.out_vectors, rows.count,
         by_columns(layer_input(l, rows, pass), layer.in_stride),
         row_major<const T>(scaled, layer.out_stride), from.weight(layer), to.weight(layer)},
        pass.sums());
    if (l == 0 || !transposes_too) continue;
    if (rows.count < kFewRows) {
      multiply_add<T>({layer.fan_out, layer.in_vectors, rows.count,
                       by_columns(scaled, layer.out_stride),
                       row_major<const T>(pass.h(l - 1), layer.in_stride), from.transposed(layer),
                       to.transposed(layer)});
    } else {
      transpose<T>(to.weight(layer), layer.fan_in, layer.fan_out, to.transposed(layer));
    }
  }
  return scaled;
}

#define FOMAML_FAST_ROWS_PASS(T)                                                                   \
  template void copy_outputs<T>(const Shapes<T>&, const T*, Index, T*);                            \
  template void forward<T>(const Shapes<T>&, const Weights<T>&, const RowRange<T>&,                \
                           const Pass<T>&, int, int);                                              \
  template void backward<T>(const Shapes<T>&, const Weights<T>&, const RowRange<T>&,               \
                            const Pass<T>&, int, int);                                             \
  template void through_norm<T>(const Shapes<T>&, const Weights<T>&, Index, const Pass<T>&, int);  \
  template void add_row_gradients<T>(const Shapes<T>&, int, Index, const Pass<T>&, T*, T*, T*);    \
  template void layer_gradient<T>(const Shapes<T>&, int, const RowRange<T>&, const Pass<T>&, bool, \
                                  const Weights<T>&);                                              \
  template void weight_gradient<T>(const Shapes<T>&, int, const RowRange<T>&, const Pass<T>&,      \
                                   Columns<const T>, Columns<T>);                                  \
  template const T* descend<T>(const Shapes<T>&, const Weights<T>&, const Weights<T>&, const T*,   \
                               const RowRange<T>&, const Pass<T>&, T*, bool, int);
FOMAML_FAST_ROWS_PASS(float)
FOMAML_FAST_ROWS_PASS(double)

}  // namespace FOMAML_FAST_NAMESPACE::rows
