// Normalisation of a hidden layer: forward, backward, and both under the R-operator.
//
//   xhat = (z - m(z)) s,  s = 1 / sqrt(m((z - m(z))^2) + epsilon),  u = gamma xhat + beta
//
// m being the mean over a group: the units of a row (Ba, Kiros & Hinton 2016) or the rows of a unit
// (Ioffe & Szegedy 2015). xhat' is symmetric, so tangents and cotangents are projected by the same
// formula, dz = s (g - m(g) - xhat m(g xhat)). With t = Rs / s = -s m(xhat Rz) its tangent is
//   R(dz) = t dz + s (Rg - m(Rg) - Rxhat m(g xhat) - xhat (m(Rg xhat) + m(g Rxhat))).
//
// Everything lies in [rows, units] buffers of packs V; gains and shifts, of type B, are packs or
// scalars that all lanes share.
#pragma once

#include <algorithm>

#include "base/arena.hpp"
#include "kernels/compensated.hpp"
#include "kernels/math.hpp"
#include "kernels/vector_math.hpp"
#include "network/spec.hpp"

namespace FOMAML_FAST_NAMESPACE::normalization {

inline constexpr double kEpsilon = 1e-5;

/// One layer's rows and units, and what its normalisation keeps of a pass.
template <class V>
struct Layer {
  Norm norm = Norm::none;
  Index rows = 0, units = 0;
  V* xhat = nullptr;         ///< [rows, units]
  V* scales = nullptr;       ///< s of each group
  V* r_xhat = nullptr;       ///< R of xhat
  V* r_log_scale = nullptr;  ///< Rs / s of each group

  /// Buffers for at most `rows` rows; those of the R-operator if `tangents`.
  static Layer carve(Norm norm, Index rows, Index units, bool tangents, Arena& arena) {
    Layer layer{norm, rows, units};
    if (norm == Norm::none) return layer;
    layer.xhat = arena.take<V>(rows * units);
    layer.scales = arena.take<V>(std::max(rows, units));
    if (!tangents) return layer;
    layer.r_xhat = arena.take<V>(rows * units);
    layer.r_log_scale = arena.take<V>(std::max(rows, units));
    return layer;
  }
  /// The same buffers for `count` rows.
  [[nodiscard]] Layer with_rows(Index count) const {
    Layer layer = *this;
    layer.rows = count;
    return layer;
  }
};

namespace detail {

/// Calls body(group, first, size, stride) for each group: its elements are `stride` packs apart.
template <class V, class Body>
FOMAML_FAST_INLINE void for_each_group(const Layer<V>& layer, const Body& body) {
  const bool by_row = layer.norm == Norm::layer;
  const Index groups = by_row ? layer.rows : layer.units;
  const Index size = by_row ? layer.units : layer.rows;
  for (Index i = 0; i < groups; ++i) body(i, by_row ? i * size : i, size, by_row ? 1 : groups);
}

/// Mean of term(0) … term(size - 1), as exact for 10^5 rows as for ten.
template <class V, class Term>
FOMAML_FAST_INLINE V mean(Index size, const Term& term) {
  constexpr Index kChunk = 64;  // short enough for plain sums
  CompensatedSum<V> total;
  for (Index first = 0; first < size; first += kChunk) {
    V sum[4]{};  // one would wait for itself
    Index i = first;
    const Index last = std::min(size, first + kChunk);
    for (; i + 4 <= last; i += 4) {
      for (Index j = 0; j < 4; ++j) sum[j] += term(i + j);
    }
    for (; i < last; ++i) sum[0] += term(i);
    total.add((sum[0] + sum[1]) + (sum[2] + sum[3]));
  }
  return total.value() / broadcast<V>(static_cast<Element<V>>(size));
}

/// Calls body(i, unit) for every element i.
template <class V, class Body>
FOMAML_FAST_INLINE void for_each_element(const Layer<V>& layer, const Body& body) {
  for (Index row = 0, i = 0; row < layer.rows; ++row) {
    for (Index unit = 0; unit < layer.units; ++unit, ++i) body(i, unit);
  }
}

}  // namespace detail

/// u = gamma xhat + beta from z, in place; keeps xhat and s.
template <class V, class B>
void apply(const Layer<V>& layer, const B* gain, const B* shift, V* z) {
  detail::for_each_group(layer, [&](Index group, Index first, Index size, Index stride) {
    const V* x = z + first;
    V* xhat = layer.xhat + first;
    const V center = detail::mean<V>(size, [&](Index i) { return x[i * stride]; });
    const V variance = detail::mean<V>(size, [&](Index i) {
      const V e = x[i * stride] - center;
      return e * e;
    });
    const V one = broadcast<V>(1), epsilon = broadcast<V>(static_cast<Element<V>>(kEpsilon));
    const V scale = one / math::sqrt(variance + epsilon);
    for (Index i = 0; i < size; ++i) xhat[i * stride] = (x[i * stride] - center) * scale;
    layer.scales[group] = scale;
  });
  detail::for_each_element(
      layer, [&](Index i, Index unit) { z[i] = gain[unit] * layer.xhat[i] + shift[unit]; });
}

/// Ru from Rz, in place; keeps Rxhat and Rs / s.
template <class V, class B, class C>
void apply_tangent(const Layer<V>& layer, const B* gain, const C* r_gain, const C* r_shift, V* rz) {
  detail::for_each_group(layer, [&](Index group, Index first, Index size, Index stride) {
    const V* r = rz + first;
    const V* xhat = layer.xhat + first;
    V* r_xhat = layer.r_xhat + first;
    const V scale = layer.scales[group];
    const V center = detail::mean<V>(size, [&](Index i) { return r[i * stride]; });
    const V along =
        detail::mean<V>(size, [&](Index i) { return r[i * stride] * xhat[i * stride]; });
    for (Index i = 0; i < size; ++i) {
      r_xhat[i * stride] = scale * (r[i * stride] - center - xhat[i * stride] * along);
    }
    layer.r_log_scale[group] = -(scale * along);
  });
  detail::for_each_element(layer, [&](Index i, Index unit) {
    rz[i] = gain[unit] * layer.r_xhat[i] + (r_gain[unit] * layer.xhat[i] + r_shift[unit]);
  });
}

/// Gradients on the gains and shifts from du.
template <class V>
void parameter_sums(const Layer<V>& layer, const V* du, V* d_gain, V* d_shift) {
  std::fill_n(d_gain, layer.units, V{});
  std::fill_n(d_shift, layer.units, V{});
  detail::for_each_element(layer, [&](Index i, Index unit) {
    d_gain[unit] += du[i] * layer.xhat[i];
    d_shift[unit] += du[i];
  });
}

/// Their tangents from du and R(du).
template <class V>
void parameter_sums_tangent(const Layer<V>& layer, const V* du, const V* r_du, V* r_gain,
                            V* r_shift) {
  std::fill_n(r_gain, layer.units, V{});
  std::fill_n(r_shift, layer.units, V{});
  detail::for_each_element(layer, [&](Index i, Index unit) {
    r_gain[unit] += r_du[i] * layer.xhat[i] + du[i] * layer.r_xhat[i];
    r_shift[unit] += r_du[i];
  });
}

/// dz from du, in place.
template <class V, class B>
void pull_back(const Layer<V>& layer, const B* gain, V* du) {
  detail::for_each_element(layer, [&](Index i, Index unit) { du[i] = gain[unit] * du[i]; });
  detail::for_each_group(layer, [&](Index group, Index first, Index size, Index stride) {
    V* g = du + first;
    const V* xhat = layer.xhat + first;
    const V scale = layer.scales[group];
    const V center = detail::mean<V>(size, [&](Index i) { return g[i * stride]; });
    const V along =
        detail::mean<V>(size, [&](Index i) { return g[i * stride] * xhat[i * stride]; });
    for (Index i = 0; i < size; ++i) {
      g[i * stride] = scale * (g[i * stride] - center - xhat[i * stride] * along);
    }
  });
}

/// dz from du and R(dz) from R(du), both in place.
template <class V, class B, class C>
void pull_back_tangent(const Layer<V>& layer, const B* gain, const C* r_gain, V* du, V* r_du) {
  detail::for_each_element(layer, [&](Index i, Index unit) {
    r_du[i] = gain[unit] * r_du[i] + r_gain[unit] * du[i];
    du[i] = gain[unit] * du[i];
  });
  detail::for_each_group(layer, [&](Index group, Index first, Index size, Index stride) {
    V *g = du + first, *rg = r_du + first;
    const V *xhat = layer.xhat + first, *r_xhat = layer.r_xhat + first;
    const V scale = layer.scales[group], r_log_scale = layer.r_log_scale[group];
    const auto mean = [&](const auto& term) {
      return detail::mean<V>(size, [&](Index i) { return term(i * stride); });
    };
    const V center = mean([&](Index i) { return g[i]; });
    const V along = mean([&](Index i) { return g[i] * xhat[i]; });
    const V r_center = mean([&](Index i) { return rg[i]; });
    const V r_along = mean([&](Index i) { return rg[i] * xhat[i] + g[i] * r_xhat[i]; });
    for (Index k = 0; k < size; ++k) {
      const Index i = k * stride;
      const V dz = scale * (g[i] - center - xhat[i] * along);
      rg[i] = r_log_scale * dz + scale * (rg[i] - r_center - r_xhat[i] * along - xhat[i] * r_along);
      g[i] = dz;
    }
  });
}

}  // namespace FOMAML_FAST_NAMESPACE::normalization
