#include "engines/rows/curvature.hpp"

#include "engines/rows/elementwise.hpp"
#include "engines/rows/products.hpp"
#include "kernels/transpose.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

namespace {

template <class T>
T scale_of(const HessianProduct<T>& p, int l) {
  return p.rates == nullptr ? T(1) : -p.rates[l];
}

/// Buffer in which a layer's Rz, then Ru, is formed. It is a buffer of its own where the derivative
/// rule needs Ru again.
template <class T>
T* rz_of(const HessianProduct<T>& p, int l) {
  T* kept = p.scratch.layers[l].rz;
  return kept != nullptr ? kept : p.pass.rh(l, p.rows.count);
}

/// What a layer's normalisation keeps, tangents included.
template <class T>
normalization::Layer<Vec<T>> norm_of(const HessianProduct<T>& p, int l) {
  auto norm = p.pass.norm(l, p.rows.count);
  norm.r_xhat = p.scratch.layers[l].r_xhat;
  norm.r_log_scale = p.scratch.layers[l].r_log_scale;
  return norm;
}

}  // namespace

/// Rz = Rh_below W + v's share, Rh = sigma'(u) Ru, layer after layer; u is z, or normalises it.
template <class T>
void push_forward(const HessianProduct<T>& p) {
  const Index count = p.rows.count;
  for (int l = p.first; l < p.shapes.depth; ++l) {
    const Layer& layer = p.shapes[l];
    T* rh = p.pass.rh(l, count);
    const T* input = l == 0 ? p.rows.x : p.pass.h(l - 1);
    const Columns<T> rz = row_major(rz_of(p, l), layer.out_stride);
    if (l == 0 && p.dual != nullptr) {
      p.dual->tangent_product(p.shapes, scale_of(p, l), rz.data);
    } else {
      multiply_scaled<T>({count,
                          layer.out_vectors,
                          layer.fan_in,
                          {input, layer.in_stride, 1},
                          p.tangent.weight(layer),
                          repeated_row<T>(p.tangent.bias(layer)),
                          rz},
                         scale_of(p, l));
    }
    const bool fused = layer.fused && !layer.normalized();
    if (l > p.first) {
      const Product<T> through{count,
                               layer.out_vectors,
                               layer.fan_in,
                               {p.pass.rh(l - 1, count), layer.in_stride, 1},
                               p.weights.weight(layer),
                               rz,
                               fused ? row_major(rh, layer.out_stride) : rz};
      if (fused && layer.curved) {
        multiply_derivative_keep<T>(through, layer.activation, p.pass.h(l), layer.out_stride,
                                    rz.data);
        continue;
      }
      if (fused) {
        multiply_derivative<T>(through, layer.activation, p.pass.h(l), layer.out_stride);
        continue;
      }
      multiply_add(through);
    }
    if (layer.normalized()) {
      normalization::apply_tangent(norm_of(p, l), packs<T>(p.weights.gain(layer)),
                                   packs(p.tangent.gain(layer)), packs(p.tangent.shift(layer)),
                                   packs(rz.data));
    }
    times_derivative<T>(layer.activation, p.pass.s(l), rz.data, count * layer.out_stride, rh);
  }
}

namespace {

/// to = start + R of the gradient on layer l's inputs, but for the part of Rd: that is `through`.
template <class T>
Product<T> r_input_gradient(const HessianProduct<T>& p, int l, const Columns<const T>& start,
                            const Columns<T>& to) {
  const Index count = p.rows.count;
  const Layer& layer = p.shapes[l];
  const Columns<T> tangent = packed_panels(p.scratch.transposed, layer.fan_out);
  transpose<T>(p.tangent.weight(layer), layer.fan_in, layer.fan_out, tangent);
  multiply_scaled<T>({count,
                      layer.in_vectors,
                      layer.fan_out,
                      {p.pass.d(l, count), layer.out_stride, 1},
                      tangent,
                      start,
                      to},
                     scale_of(p, l));
  return {count,
          layer.in_vectors,
          layer.fan_out,
          {p.pass.rd(l), layer.out_stride, 1},
          p.weights.transposed(layer),
          to,
          to};
}

/// to = start, or 0, for one of a layer's rows of parameters.
template <class T>
void begin_row(const HessianProduct<T>& p, int l, const T* start, T* to) {
  if (p.start == nullptr) {
    std::fill_n(to, p.shapes[l].out_stride, T(0));
  } else if (start != to) {
    std::copy_n(start, p.shapes[l].out_stride, to);
  }
}

/// The tangents of the gradients on gamma and beta of layer l, and R of that on z from R(du).
template <class T>
void through_norm(const HessianProduct<T>& p, int l, T* r_du) {
  const Layer& layer = p.shapes[l];
  const Index count = p.rows.count;
  const auto norm = norm_of(p, l);
  const T* du = p.pass.du(l, count);
  begin_row<T>(p, l, p.start == nullptr ? nullptr : p.start->gain(layer), p.to.gain(layer));
  begin_row<T>(p, l, p.start == nullptr ? nullptr : p.start->shift(layer), p.to.shift(layer));
  normalization::add_parameter_sums_tangent(norm, packs(du), packs<T>(r_du),
                                            packs(p.to.gain(layer)), packs(p.to.shift(layer)));
  // d comes out as it was.
  T* const d = p.pass.d(l, count);
  std::copy_n(du, count * layer.out_stride, d);
  normalization::pull_back_tangent(norm, packs<T>(p.weights.gain(layer)),
                                   packs(p.tangent.gain(layer)), packs(d), packs(r_du));
}

/// R of the delta of layer l - 1 from those of layer l.
template <class T>
void r_backward(const HessianProduct<T>& p, int l) {
  const Layer &layer = p.shapes[l], &below = p.shapes[l - 1];
  const Columns<T> rd = row_major(p.pass.rd(l - 1), layer.in_stride);
  const Product<T> through = r_input_gradient<T>(p, l, zeros<T>(), rd);
  const Index size = p.rows.count * below.out_stride;
  if (below.fused && below.curved) {
    multiply_derivative_rule<T>(through, below.activation, p.pass.h(l - 1), p.pass.dh(l - 1),
                                rz_of(p, l - 1), below.out_stride);
  } else if (below.fused) {
    multiply_derivative<T>(through, below.activation, p.pass.h(l - 1), below.out_stride);
  } else if (below.curved) {
    multiply_add(through);
    derivative_rule<T>(below.activation, p.pass.s(l - 1), p.pass.dh(l - 1), rz_of(p, l - 1),
                       rd.data, size, rd.data);
  } else {
    multiply_add(through);
    times_derivative<T>(below.activation, p.pass.s(l - 1), rd.data, size, rd.data);
  }
  if (below.normalized()) through_norm(p, l - 1, rd.data);
}

/// to = start + [h; Rh]' [Rd; d], and the sum of Rd for the bias.
template <class T>
void r_gradient(const HessianProduct<T>& p, int l) {
  const Index count = p.rows.count;
  const Layer& layer = p.shapes[l];
  const T* input = l == 0 ? p.rows.x : p.pass.h(l - 1);
  const Columns<const T> start = p.start == nullptr ? zeros<T>() : p.start->weight(layer);
  multiply_add_rows<T>({layer.fan_in,
                        layer.out_vectors,
                        l == p.first ? count : 2 * count,  // R of the first input is 0
                        {input, 1, layer.in_stride},
                        row_major<const T>(p.pass.rd(l), layer.out_stride),
                        start,
                        p.to.weight(layer)},
                       p.pass.sums());
  begin_row<T>(p, l, p.start == nullptr ? nullptr : p.start->bias(layer), p.to.bias(layer));
  if (layer.norm == Norm::batch) return;  // as its gradient is, exactly
  add_rows<T>(p.pass.rd(l), count, layer.out_stride, p.to.bias(layer), p.to.bias(layer));
}

}  // namespace

template <class T>
void hessian_product(const HessianProduct<T>& p) {
  const int last = p.shapes.depth - 1;
  push_forward(p);
  if (p.output_tangents != nullptr) {
    copy_outputs(p.shapes, p.output_tangents, p.rows.count, p.pass.rd(last));
  } else {
    loss_curvature<T>(p.targets, p.pass.h(last), p.pass.rh(last, p.rows.count),
                      p.shapes.last().out_stride, p.loss_scratch, p.pass.rd(last), p.delta_scale);
  }
  for (int l = last; l >= p.first; --l) {
    if (l > p.first) r_backward(p, l);
    if (l == p.first && p.below_first != nullptr) {
      const Columns<T> below = row_major(p.below_first, p.shapes[l].in_stride);
      multiply_add<T>(r_input_gradient<T>(p, l, below, below));
    }
    if (l == 0 && p.dual != nullptr) {
      p.dual->add_reverse(p.shapes, p.pass.rd(0));
    } else {
      r_gradient(p, l);  // only now: `to` may be the tangent
    }
  }
}

template void push_forward<float>(const HessianProduct<float>&);
template void push_forward<double>(const HessianProduct<double>&);
template void hessian_product<float>(const HessianProduct<float>&);
template void hessian_product<double>(const HessianProduct<double>&);

}  // namespace FOMAML_FAST_NAMESPACE::rows
