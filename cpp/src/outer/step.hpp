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

/// Neighbouring parameters that move at one rate, or not at all.
struct OuterPart {
  Index first = 0, end = 0;
  double lr = 0;
  bool moves = true;
};
/// All parameters, part after part.
struct OuterParts {
  const OuterPart* part = nullptr;
  int count = 0;
  [[nodiscard]] Index size() const { return part[count - 1].end; }
  [[nodiscard]] const OuterPart* begin() const { return part; }
  [[nodiscard]] const OuterPart* end() const { return part + count; }
};

/// Reads theta [P], gradient [P], moments [m, P]; writes the new theta and moments, which may be
/// the same memory. What does not move stays, moments included. `t` counts steps from 1. Returns
/// the norm of the gradient of what moves, before clipping.
template <class T>
double outer_step(const OuterSpec& spec, const OuterParts& parts, Index t, const T* theta,
                  const T* gradient, const T* moments, T* new_theta, T* new_moments);

}  // namespace FOMAML_FAST_NAMESPACE
