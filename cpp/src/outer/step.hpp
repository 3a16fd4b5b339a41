// One outer step over the flat parameter vector.
#pragma once

#include "outer/registry.hpp"

namespace FOMAML_FAST_NAMESPACE {

struct OuterSpec {
  OuterId id = OuterId::sgd;
  Parameters parameters{};
  double clip_norm = 0;  ///< largest global norm of the gradient; 0 does not clip
};

inline int outer_moments(const OuterSpec& spec) {
  return visit_outer(spec.id, [&]<class O>(O) { return O::moments(spec.parameters); });
}

/// Reads theta [P], gradient [P], moments [m, P]; writes the new theta and moments, which may be
/// the same memory. `t` counts steps from 1. Returns the norm of the gradient before clipping.
template <class T>
double outer_step(const OuterSpec& spec, double lr, Index t, Index n_params, const T* theta,
                  const T* gradient, const T* moments, T* new_theta, T* new_moments);

}  // namespace FOMAML_FAST_NAMESPACE
