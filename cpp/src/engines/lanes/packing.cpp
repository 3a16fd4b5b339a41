#include "engines/lanes/packing.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

namespace {

/// Calls body(first, count, grid) with the flat and packed offsets of what lies together: whole
/// theta, or the weights and the rest of each layer in turn.
template <class Body>
void for_each_part(const Shapes& shapes, Body&& body) {
  if (!shapes.padded()) return body(Index{0}, Index{0}, Grid{1, shapes.size, shapes.size});
  for (int l = 0; l < shapes.depth; ++l) {
    const Layer& layer = shapes[l];
    const Index rest = layer.end - layer.bias;
    body(layer.flat.weight, layer.weight, layer.weights());
    body(layer.flat.bias, layer.bias, Grid{1, rest, rest});
  }
}

}  // namespace

template <class T>
void gather_parameters(const Shapes& shapes, const T* flat, Index stride, Group group,
                       Vec<T>* packs) {
  for_each_part(shapes, [&](Index from, Index to, const Grid& grid) {
    const Index count = grid.rows * grid.width;
    gather(LaneArrays<const T>::of(flat + from, stride, count, group), grid, packs + to);
  });
}

template <class T>
void scatter_parameters(const Shapes& shapes, const Vec<T>* packs, const LaneArrays<T>& flat) {
  for_each_part(shapes, [&](Index to, Index from, const Grid& grid) {
    scatter(packs + from, grid, flat.part(to, grid.rows * grid.width));
  });
}

#define FOMAML_FAST_INSTANTIATE(T)                                                    \
  template void gather_parameters<T>(const Shapes&, const T*, Index, Group, Vec<T>*); \
  template void scatter_parameters<T>(const Shapes&, const Vec<T>*, const LaneArrays<T>&);
FOMAML_FAST_INSTANTIATE(float)
FOMAML_FAST_INSTANTIATE(double)
#undef FOMAML_FAST_INSTANTIATE

}  // namespace FOMAML_FAST_NAMESPACE::lanes
