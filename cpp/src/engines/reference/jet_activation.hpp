// One row's jet through an activation: forward, back, and the tangents of both.
//
// With z' and z'' the derivatives along a direction, h' = s' z' and h'' = s'' z'^2 + s' z'' (Faa di
// Bruno), s being the activation; the others are their derivatives. All arrays are [streams,
// units].
#pragma once

#include "activations/registry.hpp"
#include "kernels/simd.hpp"
#include "network/jet.hpp"

namespace FOMAML_FAST_NAMESPACE::reference {

/// Derivatives of an activation at the numbers of a pack, up to the order that is asked for.
template <int kOrder, class V>
struct Slopes {
  V d1, d2{}, d3{}, d4{};

  template <class A>
  Slopes(const A& a, V z, V h) {
    const V s = a.needs_input ? z : h;
    d1 = a.d1(s);
    if constexpr (A::curved) {
      d2 = a.d2(s);
      if constexpr (kOrder >= 3) d3 = a.d3(s);
      if constexpr (kOrder >= 4) d4 = a.d4(s);
    }
  }
};

template <class A, class T>
void apply_jet(const A& a, const JetShape& jet, Index units, const T* z, T* h) {
  for_packs<T>(units, [&]<class V>(V, Index j) {
    const V z0 = load<V>(z + j), h0 = a.apply(z0);
    store(h + j, h0);
    const Slopes<2, V> at(a, z0, h0);
    for (Index d = 0; d < jet.directions; ++d) {
      const Index one = jet.first(d) * units + j;
      const V z1 = load<V>(z + one);
      store(h + one, at.d1 * z1);
      if (jet.order < 2) continue;
      const Index two = jet.second(d) * units + j;
      store(h + two, at.d2 * z1 * z1 + at.d1 * load<V>(z + two));
    }
  });
}

/// From the gradient on h to that on z, in place.
template <class A, class T>
void pull_back_jet(const A& a, const JetShape& jet, Index units, const T* z, const T* h, T* g) {
  for_packs<T>(units, [&]<class V>(V, Index j) {
    const Slopes<3, V> at(a, load<V>(z + j), load<V>(h + j));
    V sum = at.d1 * load<V>(g + j);
    for (Index d = 0; d < jet.directions; ++d) {
      const Index one = jet.first(d) * units + j;
      const V z1 = load<V>(z + one), g1 = load<V>(g + one);
      sum += at.d2 * z1 * g1;
      V of_slope = at.d1 * g1;
      if (jet.order == 2) {
        const Index two = jet.second(d) * units + j;
        const V g2 = load<V>(g + two);
        sum += (at.d3 * z1 * z1 + at.d2 * load<V>(z + two)) * g2;
        of_slope += 2 * at.d2 * z1 * g2;
        store(g + two, at.d1 * g2);
      }
      store(g + one, of_slope);
    }
    store(g + j, sum);
  });
}

/// Rh from Rz.
template <class A, class T>
void apply_jet_tangent(const A& a, const JetShape& jet, Index units, const T* z, const T* h,
                       const T* rz, T* rh) {
  for_packs<T>(units, [&]<class V>(V, Index j) {
    const Slopes<3, V> at(a, load<V>(z + j), load<V>(h + j));
    const V rz0 = load<V>(rz + j), rd1 = at.d2 * rz0, rd2 = at.d3 * rz0;
    store(rh + j, at.d1 * rz0);
    for (Index d = 0; d < jet.directions; ++d) {
      const Index one = jet.first(d) * units + j;
      const V z1 = load<V>(z + one), rz1 = load<V>(rz + one);
      store(rh + one, rd1 * z1 + at.d1 * rz1);
      if (jet.order < 2) continue;
      const Index two = jet.second(d) * units + j;
      store(rh + two, rd2 * z1 * z1 + 2 * at.d2 * z1 * rz1 + rd1 * load<V>(z + two) +
                          at.d1 * load<V>(rz + two));
    }
  });
}

/// From the gradient on h and its tangent to those on z, in place.
template <class A, class T>
void pull_back_jet_tangent(const A& a, const JetShape& jet, Index units, const T* z, const T* h,
                           const T* rz, T* g, T* rg) {
  for_packs<T>(units, [&]<class V>(V, Index j) {
    const Slopes<4, V> at(a, load<V>(z + j), load<V>(h + j));
    const V rz0 = load<V>(rz + j), g0 = load<V>(g + j);
    const V rd1 = at.d2 * rz0, rd2 = at.d3 * rz0, rd3 = at.d4 * rz0;
    V sum = at.d1 * g0, r_sum = rd1 * g0 + at.d1 * load<V>(rg + j);
    for (Index d = 0; d < jet.directions; ++d) {
      const Index one = jet.first(d) * units + j;
      const V z1 = load<V>(z + one), rz1 = load<V>(rz + one);
      const V g1 = load<V>(g + one), rg1 = load<V>(rg + one);
      sum += at.d2 * z1 * g1;
      r_sum += rd2 * z1 * g1 + at.d2 * (rz1 * g1 + z1 * rg1);
      V of_slope = at.d1 * g1, r_of_slope = rd1 * g1 + at.d1 * rg1;
      if (jet.order == 2) {
        const Index two = jet.second(d) * units + j;
        const V z2 = load<V>(z + two), rz2 = load<V>(rz + two);
        const V g2 = load<V>(g + two), rg2 = load<V>(rg + two);
        const V bend = at.d3 * z1 * z1 + at.d2 * z2;
        const V r_bend = rd3 * z1 * z1 + 2 * at.d3 * z1 * rz1 + rd2 * z2 + at.d2 * rz2;
        sum += bend * g2;
        r_sum += r_bend * g2 + bend * rg2;
        of_slope += 2 * at.d2 * z1 * g2;
        r_of_slope += 2 * (rd2 * z1 * g2 + at.d2 * (rz1 * g2 + z1 * rg2));
        store(g + two, at.d1 * g2);
        store(rg + two, rd1 * g2 + at.d1 * rg2);
      }
      store(g + one, of_slope);
      store(rg + one, r_of_slope);
    }
    store(g + j, sum);
    store(rg + j, r_sum);
  });
}

}  // namespace FOMAML_FAST_NAMESPACE::reference
