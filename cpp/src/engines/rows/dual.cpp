#include "engines/rows/dual.hpp"

#include <cstring>

#include "engines/rows/elementwise.hpp"
#include "engines/rows/products.hpp"
#include "kernels/transpose.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

template <class T>
DualLayer<T> DualLayer<T>::carve(const Problem& problem, const Shapes<T>& shapes, bool exact,
                                 Arena& arena) {
  DualLayer dual;
  if (!shapes.dual) return dual;
  const Index support = problem.support.longest, size = support * shapes[0].out_stride;
  dual.stride_ = padded<T>(support);
  dual.transposed_ = arena.take<T>(shapes[0].fan_in * dual.stride_);
  dual.gram_ = arena.take<T>(support * dual.stride_);
  dual.cross_ = arena.take<T>(problem.query.longest * dual.stride_);
  dual.z_ = arena.take<T>(size);
  dual.sum_ = arena.take<T>(size);
  if (std::max(support, problem.query.longest) > kFewTerms) {
    const Index rows = std::max({shapes[0].fan_in, support, problem.query.longest});
    dual.sums_ = LongSums<T>::carve(rows * shapes[0].out_stride, arena);
  }
  if (exact) {
    dual.query_part_ = arena.take<T>(size);
    dual.reverse_ = arena.take<T>(size);
  }
  return dual;
}

namespace {

/// to = ones + x X_s'.
template <class T>
void gram(const Shapes<T>& shapes, const RowRange<T>& rows, const T* transposed, Index support,
          Index stride, T* to) {
  const Index inputs = shapes[0].fan_in;
  multiply_add<T>({rows.count,
                   vectors_of<T>(support),
                   inputs,
                   {rows.x, inputs, 1},
                   packed_panels<const T>(transposed, inputs),
                   ones<T>(),
                   row_major(to, stride)});
}

/// z = x W_0 + b_0.
template <class T>
void affine(const Layer& layer, const Weights<T>& weights, const RowRange<T>& rows, T* z) {
  multiply_add<T>({rows.count,
                   layer.out_vectors,
                   layer.fan_in,
                   {rows.x, layer.in_stride, 1},
                   weights.weight(layer),
                   repeated_row<T>(weights.bias(layer)),
                   row_major(z, layer.out_stride)});
}

/// Outputs of layer 0 from z + A E.
template <class T>
void finish(const Layer& layer, const RowRange<T>& rows, const T* z, const T* a, Index stride,
            const T* sum, Index support, const LongSums<T>& sums, const Pass<T>& pass) {
  const bool fused = layer.fused && support <= kFewTerms;
  const Product<T> product{rows.count,
                           layer.out_vectors,
                           support,
                           {a, stride, 1},
                           row_major(sum, layer.out_stride),
                           row_major(z, layer.out_stride),
                           row_major(fused ? pass.h(0) : pass.s(0), layer.out_stride)};
  if (fused) {
    multiply_apply(product, layer.activation);
  } else {
    multiply_add_rows(product, sums);
    apply(layer.activation, pass.s(0), rows.count * layer.out_stride, pass.h(0));
  }
}

}  // namespace

template <class T>
void DualLayer<T>::begin(const Shapes<T>& shapes, const Weights<T>& theta,
                         const RowRange<T>& support) {
  start_ = theta;
  support_ = support;
  steps_taken_ = 0;
  stride_ = padded<T>(support.count);
  pack_transposed(support.x, support.count, shapes[0].fan_in, transposed_);
  gram(shapes, support, transposed_, support.count, stride_, gram_);
  affine(shapes[0], theta, support, z_);
}

template <class T>
void DualLayer<T>::forward_support(const Shapes<T>& shapes, const Pass<T>& pass) const {
  // Before the first step there is nothing to add: depth 0 only applies the activation.
  finish(shapes[0], support_, z_, gram_, stride_, sum_, steps_taken_ == 0 ? 0 : support_.count,
         sums_, pass);
}

template <class T>
void DualLayer<T>::add_step(const Shapes<T>& shapes, const T* scaled) {
  const Index size = support_.count * shapes[0].out_stride;
  if (steps_taken_++ == 0) {
    std::memcpy(sum_, scaled, static_cast<std::size_t>(size) * sizeof(T));
  } else {
    accumulate(scaled, size, sum_);
  }
}

template <class T>
void DualLayer<T>::forward_query(const Shapes<T>& shapes, const RowRange<T>& query,
                                 const Pass<T>& pass) {
  query_rows_ = query.count;
  gram(shapes, query, transposed_, support_.count, stride_, cross_);
  T* z = pass.s(0);
  affine(shapes[0], start_, query, z);
  finish(shapes[0], query, z, cross_, stride_, sum_, support_.count, sums_, pass);
}

template <class T>
void DualLayer<T>::form_weight(const Shapes<T>& shapes, Columns<T> to) const {
  const Layer& layer = shapes[0];
  multiply_add_rows<T>({layer.fan_in,
                        layer.out_vectors,
                        support_.count,
                        {support_.x, 1, layer.fan_in},
                        row_major<const T>(sum_, layer.out_stride),
                        start_.weight(layer),
                        to},
                       sums_);
}

template <class T>
bool DualLayer<T>::finite(const Shapes<T>& shapes) const {
  return is_finite(sum_, support_.count * shapes[0].out_stride);
}

template <class T>
bool DualLayer<T>::reverse_finite(const Shapes<T>& shapes) const {
  return is_finite(reverse_, support_.count * shapes[0].out_stride);
}

template <class T>
void DualLayer<T>::begin_reverse(const Shapes<T>& shapes, const T* query_deltas) {
  const Layer& layer = shapes[0];
  multiply_add_rows<T>({support_.count,
                        layer.out_vectors,
                        query_rows_,
                        {cross_, 1, stride_},
                        row_major(query_deltas, layer.out_stride),
                        zeros<T>(),
                        row_major(query_part_, layer.out_stride)},
                       sums_);
  std::fill_n(reverse_, support_.count * layer.out_stride, T(0));
}

template <class T>
void DualLayer<T>::tangent_product(const Shapes<T>& shapes, T scale, T* to) const {
  const Layer& layer = shapes[0];
  const Product<T> product{support_.count,
                           layer.out_vectors,
                           support_.count,
                           {gram_, stride_, 1},
                           row_major<const T>(reverse_, layer.out_stride),
                           row_major<const T>(query_part_, layer.out_stride),
                           row_major(to, layer.out_stride)};
  if (support_.count <= kFewTerms) return multiply_scaled(product, scale);
  multiply_add_rows(product, sums_);
  sum_terms<T>(to, 1, 0, support_.count * layer.out_stride, scale, to);
}

template <class T>
void DualLayer<T>::add_reverse(const Shapes<T>& shapes, const T* rd) {
  accumulate(rd, support_.count * shapes[0].out_stride, reverse_);
}

template class DualLayer<float>;
template class DualLayer<double>;

}  // namespace FOMAML_FAST_NAMESPACE::rows
