// One row's jet through an activation: forward, back, and the tangents of both.
//
// With z' and z'' the derivatives along a direction, h' = s' z' and h'' = s'' z'^2 + s' z'' (Faa di
// Bruno), s being the activation; the others are their derivatives. All arrays are [streams,
// units].
#pragma once

#include "activations/registry.hpp"
#include "network/jet.hpp"

namespace FOMAML_FAST_NAMESPACE::reference {

/// Derivatives of an activation at one number, up to the order that is asked for.
template <int kOrder, class T>
struct Slopes {
  T d1, d2 = 0, d3 = 0, d4 = 0;

  template <class A>
  Slopes(const A& a, T z, T h) {
    const T s = a.needs_input ? z : h;
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
  for (Index j = 0; j < units; ++j) {
    h[j] = a.apply(z[j]);
    const Slopes<2, T> at(a, z[j], h[j]);
    for (Index d = 0; d < jet.directions; ++d) {
      const Index one = jet.first(d) * units + j;
      h[one] = at.d1 * z[one];
      if (jet.order < 2) continue;
      const Index two = jet.second(d) * units + j;
      h[two] = at.d2 * z[one] * z[one] + at.d1 * z[two];
    }
  }
}

/// From the gradient on h to that on z, in place.
template <class A, class T>
void pull_back_jet(const A& a, const JetShape& jet, Index units, const T* z, const T* h, T* g) {
  for (Index j = 0; j < units; ++j) {
    const Slopes<3, T> at(a, z[j], h[j]);
    T sum = at.d1 * g[j];
    for (Index d = 0; d < jet.directions; ++d) {
      const Index one = jet.first(d) * units + j;
      const T z1 = z[one], g1 = g[one];
      sum += at.d2 * z1 * g1;
      g[one] = at.d1 * g1;
      if (jet.order < 2) continue;
      const Index two = jet.second(d) * units + j;
      const T g2 = g[two];
      sum += (at.d3 * z1 * z1 + at.d2 * z[two]) * g2;
      g[one] += 2 * at.d2 * z1 * g2;
      g[two] = at.d1 * g2;
    }
    g[j] = sum;
  }
}

/// Rh from Rz.
template <class A, class T>
void apply_jet_tangent(const A& a, const JetShape& jet, Index units, const T* z, const T* h,
                       const T* rz, T* rh) {
  for (Index j = 0; j < units; ++j) {
    const Slopes<3, T> at(a, z[j], h[j]);
    const T rd1 = at.d2 * rz[j], rd2 = at.d3 * rz[j];
    rh[j] = at.d1 * rz[j];
    for (Index d = 0; d < jet.directions; ++d) {
      const Index one = jet.first(d) * units + j;
      const T z1 = z[one], rz1 = rz[one];
      rh[one] = rd1 * z1 + at.d1 * rz1;
      if (jet.order < 2) continue;
      const Index two = jet.second(d) * units + j;
      rh[two] = rd2 * z1 * z1 + 2 * at.d2 * z1 * rz1 + rd1 * z[two] + at.d1 * rz[two];
    }
  }
}

/// From the gradient on h and its tangent to those on z, in place.
template <class A, class T>
void pull_back_jet_tangent(const A& a, const JetShape& jet, Index units, const T* z, const T* h,
                           const T* rz, T* g, T* rg) {
  for (Index j = 0; j < units; ++j) {
    const Slopes<4, T> at(a, z[j], h[j]);
    const T rd1 = at.d2 * rz[j], rd2 = at.d3 * rz[j], rd3 = at.d4 * rz[j];
    T sum = at.d1 * g[j], r_sum = rd1 * g[j] + at.d1 * rg[j];
    for (Index d = 0; d < jet.directions; ++d) {
      const Index one = jet.first(d) * units + j;
      const T z1 = z[one], rz1 = rz[one], g1 = g[one], rg1 = rg[one];
      sum += at.d2 * z1 * g1;
      r_sum += rd2 * z1 * g1 + at.d2 * (rz1 * g1 + z1 * rg1);
      g[one] = at.d1 * g1;
      rg[one] = rd1 * g1 + at.d1 * rg1;
      if (jet.order < 2) continue;
      const Index two = jet.second(d) * units + j;
      const T z2 = z[two], rz2 = rz[two], g2 = g[two], rg2 = rg[two];
      const T bend = at.d3 * z1 * z1 + at.d2 * z2;
      const T r_bend = rd3 * z1 * z1 + 2 * at.d3 * z1 * rz1 + rd2 * z2 + at.d2 * rz2;
      sum += bend * g2;
      r_sum += r_bend * g2 + bend * rg2;
      g[one] += 2 * at.d2 * z1 * g2;
      rg[one] += 2 * (rd2 * z1 * g2 + at.d2 * (rz1 * g2 + z1 * rg2));
      g[two] = at.d1 * g2;
      rg[two] = rd1 * g2 + at.d1 * rg2;
    }
    g[j] = sum;
    rg[j] = r_sum;
  }
}

}  // namespace FOMAML_FAST_NAMESPACE::reference
