// Copies between the user's flat theta and packed parameters, one panel of one layer at a time.
#pragma once

#include "engines/rows/shapes.hpp"
#include "kernels/transpose.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

/// Panel `panel` of layer `layer`.
struct PanelOf {
  int layer;
  Index panel;
};

/// The panels of all layers, in one row: 0 … shapes.panels - 1.
template <class T>
PanelOf locate_panel(const Shapes<T>& shapes, Index i) {
  int l = 0;
  for (;; ++l) {
    const Index panels = panel_count(shapes[l].out_vectors);
    if (i < panels) return {l, i};
    i -= panels;
  }
}

/// Calls body(packed, flat) with the offsets of b, and of gains and shifts where there are any.
template <class Body>
void for_each_row(const Layer& layer, Body&& body) {
  body(layer.bias, layer.flat.bias);
  if (!layer.normalized()) return;
  body(layer.gain, layer.flat.gain);
  body(layer.shift, layer.flat.shift);
}

/// Packs the bias, gains and shifts.
template <class T>
void pack_rows(const Layer& layer, const T* theta, const Weights<T>& to) {
  for_each_row(layer, [&](Index packed, Index flat) {
    T* const row = to.values + packed;
    std::copy_n(theta + flat, layer.fan_out, row);
    std::fill(row + layer.fan_out, row + layer.out_stride, T(0));
  });
}

template <class T>
void unpack_rows(const Layer& layer, const Weights<T>& from, T* theta) {
  for_each_row(layer, [&](Index packed, Index flat) {
    std::copy_n(from.values + packed, layer.fan_out, theta + flat);
  });
}

/// Packs one panel, with its transpose if `to` has room for any, and with panel 0 the rows.
template <class T>
void pack_panel(const Shapes<T>& shapes, const T* theta, PanelOf place, const Weights<T>& to) {
  const Layer& layer = shapes[place.layer];
  copy_to_panel(theta + layer.flat.weight, layer.fan_in, layer.fan_out, place.panel,
                to.weight(layer).data);
  if (place.layer > 0 && to.transposes != nullptr) {
    transpose_panel<T>(to.weight(layer), layer.fan_in, layer.fan_out, place.panel,
                       to.transposed(layer));
  }
  if (place.panel == 0) pack_rows(layer, theta, to);
}

template <class T>
void pack(const Shapes<T>& shapes, const T* theta, const Weights<T>& to) {
  for (Index i = 0; i < shapes.panels; ++i) pack_panel(shapes, theta, locate_panel(shapes, i), to);
}

/// flat = packed, one panel of it, and with panel 0 the rows.
template <class T>
void unpack_panel(const Shapes<T>& shapes, const Weights<T>& from, PanelOf place, T* flat) {
  const Layer& layer = shapes[place.layer];
  copy_from_panel(from.weight(layer).data, layer.fan_in, layer.fan_out, place.panel,
                  flat + layer.flat.weight);
  if (place.panel == 0) unpack_rows(layer, from, flat);
}

template <class T>
void unpack(const Shapes<T>& shapes, const Weights<T>& from, T* flat) {
  for (Index i = 0; i < shapes.panels; ++i)
    unpack_panel(shapes, from, locate_panel(shapes, i), flat);
}

/// Packs a vector of parameters that all tasks share, all workers together.
template <class T>
void pack_shared(const Shapes<T>& shapes, const T* theta, const Weights<T>& to, Team& team) {
  team.share(shapes.panels,
             [&](Index i) { pack_panel(shapes, theta, locate_panel(shapes, i), to); });
  team.barrier();
}

}  // namespace FOMAML_FAST_NAMESPACE::rows
