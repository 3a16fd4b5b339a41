// How the meta-gradient of one task flows back to the initialisation.
//
// First order (Finn, Abbeel & Levine 2017, section 5.2): the query gradient at theta_S.
// Exact: that gradient pulled back through every inner step with the support Hessian.
#pragma once

#include "inner/unroll.hpp"
#include "meta/algorithm.hpp"

namespace FOMAML_FAST_NAMESPACE::meta {

/// Whether the flow needs the inner loop's tape and second derivatives.
constexpr bool needs_tape(Flow flow) { return flow == Flow::exact; }

/// Buffers of the reverse sweep.
template <class T>
struct ReverseBuffers {
  T* co_state = nullptr;
  T* v = nullptr;
  T* hv = nullptr;
};

/// Query loss at theta_S, its meta-gradient in `lambda`; the inner loop has been unrolled.
template <class Optimizer, class T, class Objective, class Rate>
T task_meta_gradient(const Objective& support, const Objective& query, const Layout& layout,
                     int depth, const AlgorithmSpec& algorithm, const Rate& rate,
                     const inner::Tape<T>& tape, T* lambda, const ReverseBuffers<T>& buffers) {
  const T loss = query.value_and_gradient(tape.theta(algorithm.steps), lambda);
  if (algorithm.flow == Flow::exact) {
    inner::pull_back<Optimizer>(support, layout, depth, algorithm.inner_parameters, algorithm.steps,
                                rate, tape, lambda, buffers.co_state, buffers.v, buffers.hv);
  }
  return loss;
}

}  // namespace FOMAML_FAST_NAMESPACE::meta
