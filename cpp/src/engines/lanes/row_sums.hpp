// Sums over the rows of a group: the gradients on weights, biases, gains and shifts. Those of a
// piece of many rows are cut into blocks (kernels/compensated.hpp).
#pragma once

#include "engines/lanes/lane_rows.hpp"
#include "engines/lanes/product.hpp"
#include "kernels/compensated.hpp"
#include "network/normalization.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

/// A row-major matrix, and its transpose.
template <class E>
View<E> matrix(const E* data, const Grid& grid) {
  return {data, grid.stride, 1};
}
template <class E>
View<E> transpose(const E* data, const Grid& grid) {
  return {data, 1, grid.stride};
}

/// How many rows are added one after another.
template <class T>
Index few_rows(const LaneRows<T>& rows) {
  return rows.blocked ? kBlockTerms : kFewTerms;
}

/// Sum over the rows of a matrix, column by column, into `finish`.
template <class V, class Finish>
void column_sums(const V* data, const Grid& grid, Index few, V* to, const Finish& finish) {
  for (Index column = 0; column < grid.width; ++column) {
    const V sum =
        sum_of<V>(grid.rows, [&](Index row) { return data[row * grid.stride + column]; }, few);
    to[column] = finish(sum, 0, column);
  }
}

/// to (+)= x' d, every block of rows being summed from 0.
template <class V>
void block_products(const Layer& layer, const V* x, const Grid& in, const V* d, const Grid& out,
                    bool add, V* to) {
  constexpr Index kRows = 2 * kBlockTerms;
  for (Index first = 0; first < in.rows; first += kRows, add = true) {
    const Term<V, V> term{transpose(x + first * in.stride, in), matrix(d + first * out.stride, out),
                          std::min(kRows, in.rows - first)};
    if (add) {
      multiply(layer.weights(), term, Zero{}, to, AddTo<V, V>{to, broadcast<V>(1)});
    } else {
      multiply(layer.weights(), term, Zero{}, to, Store{});
    }
  }
}

/// The gradient on b from that on z. Before batch normalisation a shift changes nothing: it is 0,
/// and not the rounding that adaptive optimisers would turn into steps.
template <class V, class Finish>
void bias_sums(const Layer& layer, const V* d, Index rows, Index few, V* to, const Finish& finish) {
  column_sums(d, layer.outputs(layer.norm == Norm::batch ? 0 : rows), few, to + layer.bias, finish);
}

/// The gradient on the gains from that on u.
template <class V, class Finish>
void gain_sums(const normalization::Layer<V>& norm, const V* du, Index few, V* to,
               const Finish& finish) {
  for (Index unit = 0; unit < norm.units; ++unit) {
    const auto term = [&](Index row) {
      const Index i = row * norm.units + unit;
      return du[i] * norm.xhat[i];
    };
    to[unit] = finish(sum_of<V>(norm.rows, term, few), 0, unit);
  }
}

/// Its tangent.
template <class V, class Finish>
void gain_tangent_sums(const normalization::Layer<V>& norm, const V* du, const V* r_du, Index few,
                       V* to, const Finish& finish) {
  for (Index unit = 0; unit < norm.units; ++unit) {
    const auto term = [&](Index row) {
      const Index i = row * norm.units + unit;
      return r_du[i] * norm.xhat[i] + du[i] * norm.r_xhat[i];
    };
    to[unit] = finish(sum_of<V>(norm.rows, term, few), 0, unit);
  }
}

}  // namespace FOMAML_FAST_NAMESPACE::lanes
