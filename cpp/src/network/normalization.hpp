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
// scalars that all lanes share. The lanes of a pack belong to different tasks, or to neighbouring
// units of one, which are then summed across.
#pragma once

#include <algorithm>

#include "base/arena.hpp"
#include "kernels/compensated.hpp"
#include "kernels/math.hpp"
#include "kernels/vector_math.hpp"
#include "network/spec.hpp"

namespace FOMAML_FAST_NAMESPACE::normalization {

inline constexpr double kEpsilon = 1e-5;

/// One layer's rows and packs of units, and what its normalisation keeps of a pass.
template <class V>
struct Layer {
  Norm norm = Norm::none;
  Index rows = 0, units = 0;
  Index across = 0;          ///< units in a row where neighbours share packs, else 0
  V* xhat = nullptr;         ///< [rows, units]
  V* scales = nullptr;       ///< s of each group
  V* r_xhat = nullptr;       ///< R of xhat
  V* r_log_scale = nullptr;  ///< Rs / s of each group

  /// Buffers for at most `rows` rows, `copies` times; those of the R-operator if `tangents`.
  static Layer carve(Norm norm, Index rows, Index units, bool tangents, Arena& arena,
                     Index copies = 1) {
    Layer layer{norm, rows, units};
    if (norm == Norm::none) return layer;
    layer.xhat = arena.take<V>(copies * rows * units);
    layer.scales = arena.take<V>(copies * std::max(rows, units));
    if (!tangents) return layer;
    layer.r_xhat = arena.take<V>(copies * rows * units);
    layer.r_log_scale = arena.take<V>(copies * std::max(rows, units));
    return layer;
  }
  /// Copy `k` of several.
  [[nodiscard]] Layer copy(Index k) const {
    Layer layer = *this;
    if (norm == Norm::none) return layer;
    layer.xhat += k * rows * units;
    layer.scales += k * std::max(rows, units);
    return layer;
  }
  /// Of rows that are normalised each alone, those from `row` on.
  [[nodiscard]] Layer from_row(Index row) const {
    Layer layer = *this;
    if (norm == Norm::none) return layer;
    layer.xhat += row * units;
    layer.scales += row;
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

/// What is normalised together: `size` packs, `stride` apart.
template <class V>
class Group {
 public:
  Group(const Layer<V>& layer, Index group)
      : index(group),
        first(by_row(layer) ? group * layer.units : group),
        size(by_row(layer) ? layer.units : layer.rows),
        stride(by_row(layer) ? 1 : layer.units),
        across_(by_row(layer) && layer.across > 0),
        numbers_(static_cast<Element<V>>(across_ ? layer.across : size)) {
    if constexpr (!is_scalar_pack<V>) {
      // The last pack of a row may hold more lanes than units: they stay 0.
      constexpr Index kWidth = kLanes<Element<V>>;
      if (!across_ || layer.across % kWidth == 0) return;
      Element<V> lanes[kWidth]{};
      std::fill_n(lanes, layer.across % kWidth, Element<V>(1));
      held_ = load<V>(lanes);
      pads_ = true;
    }
  }
  static Index count(const Layer<V>& layer) { return by_row(layer) ? layer.rows : layer.units; }

  /// Mean of term(0) … term(size - 1), as exact for 10^5 rows as for ten.
  template <class Term>
  FOMAML_FAST_INLINE V mean(const Term& term) const {
    constexpr Index kChunk = 64;  // short enough for plain sums
    CompensatedSum<V> total;
    for (Index from = 0; from < size; from += kChunk) {
      V sum[4]{};  // one would wait for itself
      Index i = from;
      const Index last = std::min(size, from + kChunk);
      for (; i + 4 <= last; i += 4) {
        for (Index j = 0; j < 4; ++j) sum[j] += term(i + j);
      }
      for (; i < last; ++i) sum[0] += term(i);
      total.add((sum[0] + sum[1]) + (sum[2] + sum[3]));
    }
    const V sum = across_ ? sum_over_lanes(total.value()) : total.value();
    return sum / broadcast<V>(numbers_);
  }
  /// x as pack i of the group: 0 in lanes that hold no unit.
  [[nodiscard]] FOMAML_FAST_INLINE V hold(Index i, V x) const {
    return pads_ && i == size - 1 ? select(held_ != V{}, x, V{}) : x;
  }

  Index index, first, size, stride;

 private:
  static bool by_row(const Layer<V>& layer) { return layer.norm == Norm::layer; }

  bool across_, pads_ = false;
  Element<V> numbers_;
  V held_{};
};

template <class V, class Body>
FOMAML_FAST_INLINE void for_each_group(const Layer<V>& layer, const Body& body) {
  const Index groups = Group<V>::count(layer);
  for (Index i = 0; i < groups; ++i) body(Group<V>(layer, i));
}

/// Calls body(i, unit) for every element i.
template <class V, class Body>
FOMAML_FAST_INLINE void for_each_element(const Layer<V>& layer, const Body& body) {
  for (Index row = 0, i = 0; row < layer.rows; ++row) {
    for (Index unit = 0; unit < layer.units; ++unit, ++i) body(i, unit);
  }
}

// Exact, and small enough for the squares of the largest numbers.
template <class T>
inline constexpr T kShrink = sizeof(T) == sizeof(float) ? T(0x1p-80) : T(0x1p-600);

/// xhat and s of one group from z, the statistics being those of `shrink` z: a power of two that
/// changes nothing, unless a variance would overflow. Returns NaN where it does.
template <class V>
FOMAML_FAST_INLINE V normalize(const Layer<V>& layer, const Group<V>& group, const V* z, V shrink) {
  const V* x = z + group.first;
  V* xhat = layer.xhat + group.first;
  const Index stride = group.stride;
  const V center = group.mean([&](Index i) { return shrink * x[i * stride]; });
  const V variance = group.mean([&](Index i) {
    const V e = group.hold(i, shrink * x[i * stride] - center);
    return e * e;
  });
  const V epsilon = broadcast<V>(static_cast<Element<V>>(kEpsilon)) * shrink * shrink;
  const V scale = broadcast<V>(1) / math::sqrt(variance + epsilon);
  for (Index i = 0; i < group.size; ++i) {
    xhat[i * stride] = group.hold(i, (shrink * x[i * stride] - center) * scale);
  }
  layer.scales[group.index] = shrink * scale;
  return variance - variance;
}

/// Adds to every unit's gain and shift the sums over the rows of their terms.
template <class V, class GainTerm, class ShiftTerm>
void add_to_units(const Layer<V>& layer, const GainTerm& gain_term, const ShiftTerm& shift_term,
                  V* gain, V* shift) {
  for (Index unit = 0; unit < layer.units; ++unit) {
    gain[unit] +=
        sum_of<V>(layer.rows, [&](Index row) { return gain_term(row * layer.units + unit); });
    shift[unit] +=
        sum_of<V>(layer.rows, [&](Index row) { return shift_term(row * layer.units + unit); });
  }
}

}  // namespace detail

/// u = gamma xhat + beta from z, in place; keeps xhat and s.
template <class V, class B>
void apply(const Layer<V>& layer, const B* gain, const B* shift, V* z) {
  const V one = broadcast<V>(1), shrink = broadcast<V>(detail::kShrink<Element<V>>);
  V overflow{};  // of squares
  detail::for_each_group(layer, [&](const detail::Group<V>& group) {
    overflow += detail::normalize(layer, group, z, one);
  });
  if (!math::all_lanes_finite(overflow)) {
    detail::for_each_group(layer, [&](const detail::Group<V>& group) {
      const V defect = detail::normalize(layer, group, z, one);
      detail::normalize(layer, group, z, select(defect == V{}, one, shrink));
    });
  }
  detail::for_each_element(
      layer, [&](Index i, Index unit) { z[i] = gain[unit] * layer.xhat[i] + shift[unit]; });
}

/// Ru from Rz, in place; keeps Rxhat and Rs / s.
template <class V, class B, class C>
void apply_tangent(const Layer<V>& layer, const B* gain, const C* r_gain, const C* r_shift, V* rz) {
  detail::for_each_group(layer, [&](const detail::Group<V>& group) {
    const V* r = rz + group.first;
    const V* xhat = layer.xhat + group.first;
    V* r_xhat = layer.r_xhat + group.first;
    const Index stride = group.stride;
    const V scale = layer.scales[group.index];
    const V center = group.mean([&](Index i) { return r[i * stride]; });
    const V along = group.mean([&](Index i) { return r[i * stride] * xhat[i * stride]; });
    for (Index i = 0; i < group.size; ++i) {
      r_xhat[i * stride] =
          group.hold(i, scale * (r[i * stride] - center - xhat[i * stride] * along));
    }
    layer.r_log_scale[group.index] = -(scale * along);
  });
  detail::for_each_element(layer, [&](Index i, Index unit) {
    rz[i] = gain[unit] * layer.r_xhat[i] + (r_gain[unit] * layer.xhat[i] + r_shift[unit]);
  });
}

/// Adds the gradients on the gains and shifts, from du.
template <class V>
void add_parameter_sums(const Layer<V>& layer, const V* du, V* d_gain, V* d_shift) {
  if (layer.rows > kFewTerms) {
    return detail::add_to_units(
        layer, [&](Index i) { return du[i] * layer.xhat[i]; }, [&](Index i) { return du[i]; },
        d_gain, d_shift);
  }
  detail::for_each_element(layer, [&](Index i, Index unit) {
    d_gain[unit] += du[i] * layer.xhat[i];
    d_shift[unit] += du[i];
  });
}

/// Adds their tangents, from du and R(du).
template <class V>
void add_parameter_sums_tangent(const Layer<V>& layer, const V* du, const V* r_du, V* r_gain,
                                V* r_shift) {
  if (layer.rows > kFewTerms) {
    return detail::add_to_units(
        layer, [&](Index i) { return r_du[i] * layer.xhat[i] + du[i] * layer.r_xhat[i]; },
        [&](Index i) { return r_du[i]; }, r_gain, r_shift);
  }
  detail::for_each_element(layer, [&](Index i, Index unit) {
    r_gain[unit] += r_du[i] * layer.xhat[i] + du[i] * layer.r_xhat[i];
    r_shift[unit] += r_du[i];
  });
}

/// dz from du, in place.
template <class V, class B>
void pull_back(const Layer<V>& layer, const B* gain, V* du) {
  detail::for_each_element(layer, [&](Index i, Index unit) { du[i] = gain[unit] * du[i]; });
  detail::for_each_group(layer, [&](const detail::Group<V>& group) {
    V* g = du + group.first;
    const V* xhat = layer.xhat + group.first;
    const Index stride = group.stride;
    const V scale = layer.scales[group.index];
    const V center = group.mean([&](Index i) { return g[i * stride]; });
    const V along = group.mean([&](Index i) { return g[i * stride] * xhat[i * stride]; });
    for (Index i = 0; i < group.size; ++i) {
      g[i * stride] = group.hold(i, scale * (g[i * stride] - center - xhat[i * stride] * along));
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
  detail::for_each_group(layer, [&](const detail::Group<V>& group) {
    V *g = du + group.first, *rg = r_du + group.first;
    const V *xhat = layer.xhat + group.first, *r_xhat = layer.r_xhat + group.first;
    const V scale = layer.scales[group.index], r_log_scale = layer.r_log_scale[group.index];
    const auto mean = [&](const auto& term) {
      return group.mean([&](Index i) { return term(i * group.stride); });
    };
    const V center = mean([&](Index i) { return g[i]; });
    const V along = mean([&](Index i) { return g[i] * xhat[i]; });
    const V r_center = mean([&](Index i) { return rg[i]; });
    const V r_along = mean([&](Index i) { return rg[i] * xhat[i] + g[i] * r_xhat[i]; });
    for (Index k = 0; k < group.size; ++k) {
      const Index i = k * group.stride;
      const V dz = scale * (g[i] - center - xhat[i] * along);
      const V r_dz =
          r_log_scale * dz + scale * (rg[i] - r_center - r_xhat[i] * along - xhat[i] * r_along);
      rg[i] = group.hold(k, r_dz);
      g[i] = group.hold(k, dz);
    }
  });
}

}  // namespace FOMAML_FAST_NAMESPACE::normalization
