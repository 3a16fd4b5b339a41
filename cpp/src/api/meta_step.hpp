// A step of meta-training: the meta-gradient, then the outer optimiser over theta and, where they
// are learned, the inner rates, as one vector.
#pragma once

#include "api/meta_gradient.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

/// An outer optimiser as callers describe it; what depends on the network is decided at the call.
struct Outer {
  OuterSpec spec{};
  LayerChoice layers{};  ///< that move
};

struct OuterArguments {
  const Outer* outer = nullptr;
  const double* lr = nullptr;  ///< one number, or one a layer
  Index n_lr = 1;
  bool lr_of_layers = false;
  Index step = 1;      ///< counted from 1
  Argument moments{};  ///< [m, P + R]
};

/// Whether an outer optimiser's layers and rates are those of that network.
bool fits(const OuterArguments& arguments, const Network& net, Fault& fault);
/// Of a step, whose `n_rates` are the learned rates R as the caller sees them.
bool check(const OuterArguments& arguments, const Network& net, Index n_rates, DType dtype,
           Fault& fault);

/// The new state. Nothing of it counts unless `finite`.
template <class T>
struct StepResults {
  T* theta = nullptr;    ///< [P]
  T* rates = nullptr;    ///< [R]
  T* moments = nullptr;  ///< [m, P + R]
  double grad_norm = 0;  ///< before clipping
  bool finite = true;
};

/// From a gradient [P], and [R] of the rates, which may be null. Learned rates are of no layer:
/// they move at the largest rate of those that move.
template <class T>
Status outer_step(const OuterArguments& arguments, const Network& net, Index n_rates,
                  const T* theta, const T* rates, const T* grad, const T* rate_grad,
                  StepResults<T>& results);

/// Status::diverged, as `meta_gradient` has it: no step was taken. `results.grad` may be null.
template <class T>
Status meta_step(const MetaArguments& meta, const OuterArguments& outer, Index n_rates,
                 const Execution& execution, MetaResults<T>& results, StepResults<T>& stepped);

}  // namespace FOMAML_FAST_NAMESPACE::api
