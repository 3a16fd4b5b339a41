#include "engines/lanes/elementwise.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

namespace {

/// Calls body(first, count) for stretches of packs that leave out the padding between rows.
template <class Body>
FOMAML_FAST_INLINE void for_each_stretch(const Grid& grid, Body&& body) {
  if (grid.stride == grid.width) return body(Index{0}, grid.rows * grid.width);
  for (Index row = 0; row < grid.rows; ++row) body(row * grid.stride, grid.width);
}

}  // namespace

template <class V>
void activate(const ActivationSpec& activation, const Grid& grid, const V* z, V* h) {
  visit_activation(activation, [&](const auto a) {
    for_each_stretch(grid, [a, z, h](Index first, Index count) {
      for (Index i = first; i < first + count; ++i) h[i] = a.apply(z[i]);
    });
  });
}

template <class V>
void times_slope(const ActivationSpec& activation, const Grid& grid, const V* s, const V* dh,
                 V* d) {
  visit_activation(activation, [&](const auto a) {
    for_each_stretch(grid, [a, s, dh, d](Index first, Index count) {
      for (Index i = first; i < first + count; ++i) d[i] = dh[i] * a.d1(s[i]);
    });
  });
}

template <class V>
void slope_tangent(const ActivationSpec& activation, const Grid& grid, const V* s, const V* dh,
                   const V* rz, V* rd) {
  visit_activation(activation, [&](const auto a) {
    for_each_stretch(grid, [a, s, dh, rz, rd](Index first, Index count) {
      for (Index i = first; i < first + count; ++i) {
        rd[i] = derivative_tangent(a, s[i], dh[i], rd[i], rz[i]);
      }
    });
  });
}

#define FOMAML_FAST_INSTANTIATE(V)                                                                 \
  template void activate<V>(const ActivationSpec&, const Grid&, const V*, V*);                     \
  template void times_slope<V>(const ActivationSpec&, const Grid&, const V*, const V*, V*);        \
  template void slope_tangent<V>(const ActivationSpec&, const Grid&, const V*, const V*, const V*, \
                                 V*);
FOMAML_FAST_INSTANTIATE(Vec<float>)
FOMAML_FAST_INSTANTIATE(Vec<double>)
#undef FOMAML_FAST_INSTANTIATE

}  // namespace FOMAML_FAST_NAMESPACE::lanes
