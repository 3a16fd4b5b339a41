#include "engines/lanes/elementwise.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

template <class V>
void activate(ActivationId id, const V* z, Index count, V* h) {
  visit_activation(id, [&]<class A>(A) {
    for (Index i = 0; i < count; ++i) h[i] = A::apply(z[i]);
  });
}

template <class V>
void times_slope(ActivationId id, const V* s, const V* dh, Index count, V* d) {
  visit_activation(id, [&]<class A>(A) {
    for (Index i = 0; i < count; ++i) d[i] = dh[i] * A::d1(s[i]);
  });
}

template <class V>
void slope_tangent(ActivationId id, const V* s, const V* dh, const V* rz, Index count, V* rd) {
  visit_activation(id, [&]<class A>(A) {
    for (Index i = 0; i < count; ++i) {
      rd[i] = derivative_tangent<A>(s[i], dh[i], rd[i], rz[i]);
    }
  });
}

#define FOMAML_FAST_INSTANTIATE(V)                                           \
  template void activate<V>(ActivationId, const V*, Index, V*);              \
  template void times_slope<V>(ActivationId, const V*, const V*, Index, V*); \
  template void slope_tangent<V>(ActivationId, const V*, const V*, const V*, Index, V*);
FOMAML_FAST_INSTANTIATE(Vec<float>)
FOMAML_FAST_INSTANTIATE(Vec<double>)
#undef FOMAML_FAST_INSTANTIATE

}  // namespace FOMAML_FAST_NAMESPACE::lanes
