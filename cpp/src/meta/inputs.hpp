// What the flows work on: a worker's vectors, and what an engine hands over for every task.
#pragma once

#include <algorithm>

#include "base/arena.hpp"
#include "base/watch.hpp"
#include "meta/algorithm.hpp"

namespace FOMAML_FAST_NAMESPACE::meta {

/// One worker's vectors. Without a tape all steps share one slot, and the loop runs in place, or
/// between two slots where the theta before the latest is looked at too.
template <class V>
struct Vectors {
  V* thetas = nullptr;     ///< [slots, size]: theta_0, the anchor, and its successors
  V* gradients = nullptr;  ///< [S, size] taped, else [1, size]
  V* states = nullptr;     ///< [S + 1, states, size] taped, else [1, states, size]
  V* co_state = nullptr;
  V* co_gradient = nullptr;  ///< v: what the Hessian multiplies
  V* co_anchor = nullptr;
  V* co_rate = nullptr;  ///< in the shape of the rates
  V* scratch = nullptr;  ///< query gradients on the way (multi-step), or the solution (implicit)
  Index size = 0;
  Index n_rates = 0;
  int n_states = 0;
  int slots = 0;  ///< of thetas
  bool taped = false;
  bool alternates = false;  ///< theta_{k-1} outlives the step to theta_k

  /// `take(n)` gives n vectors of `size` packs; n_rates are in the cotangent of the rates.
  template <class Take>
  static Vectors carve(const AlgorithmSpec& algorithm, bool meta, bool alternates, Index size,
                       Index n_rates, Arena& arena, Take&& take) {
    Vectors vectors;
    const Index steps = algorithm.steps;
    vectors.size = size;
    vectors.n_states = algorithm.inner.states();
    vectors.taped = meta && algorithm.needs_tape();
    vectors.alternates = alternates && !vectors.taped;
    const bool reverse = vectors.taped;
    vectors.slots = vectors.taped ? algorithm.steps + 1 : vectors.alternates ? 3 : 2;
    vectors.thetas = take(vectors.slots);
    vectors.gradients = take(vectors.taped ? std::max<Index>(steps, 1) : 1);
    vectors.states = take((vectors.taped ? steps + 1 : 1) * vectors.n_states);
    const bool implicit = meta && algorithm.flow == Flow::implicit;
    if (reverse) vectors.co_state = take(vectors.n_states);
    if (reverse || implicit) vectors.co_gradient = take(1);
    if (reverse || implicit) vectors.co_anchor = take(1);
    if ((reverse && algorithm.multi_step) || implicit) vectors.scratch = take(1);
    if (meta && algorithm.learns_rates) {
      vectors.n_rates = n_rates;
      vectors.co_rate = arena.take<V>(n_rates);
    }
    return vectors;
  }
  static Vectors carve(const AlgorithmSpec& algorithm, bool meta, bool alternates, Index size,
                       Index n_rates, Arena& arena) {
    return carve(algorithm, meta, alternates, size, n_rates, arena,
                 [&](Index count) { return arena.take<V>(count * size); });
  }

  [[nodiscard]] V* theta(int k) const {
    const int slot = taped ? k : k == 0 ? 0 : alternates ? 1 + (k - 1) % 2 : 1;
    return thetas + slot * size;
  }
  [[nodiscard]] V* gradient(int k) const { return gradients + (taped ? k * size : 0); }
  [[nodiscard]] V* state(int k) const { return states + (taped ? k * n_states * size : 0); }
  [[nodiscard]] int slot(int k) const { return taped ? k : 0; }
};

/// What an engine hands over for every task, or group of them.
template <class V>
struct Inputs {
  const AlgorithmSpec& algorithm;
  const inner::Adapted<V>& adapted;
  const Vectors<V>& vectors;  ///< theta(0) is filled in, frozen parts of all thetas too
  bool freezes = false;       ///< some parameters do not adapt
  const Element<V>* step_weights = nullptr;  ///< [S], multi-step
  Index step_work = 0;  ///< about the operations of a step, of all tasks of a pack
  Watch& watch = Watch::of_thread();

  /// Before a step, either way: whether the caller wants to stop.
  [[nodiscard]] bool stopped() const { return watch.stopped(step_work); }
};

/// 0 where x is finite, NaN elsewhere.
template <class V>
FOMAML_FAST_INLINE V defect(V x) {
  return x - x;
}

/// What the conjugate gradients report of every task.
template <class V>
struct Solution {
  V residual{};  ///< relative to the right-hand side
  V iterations{};
  V indefinite{};  ///< 1 where a direction of no curvature ended them
};

/// to += factor x
template <class V>
void add_scaled(const V* x, V factor, Index size, V* to) {
  for (Index i = 0; i < size; ++i) to[i] += factor * x[i];
}

}  // namespace FOMAML_FAST_NAMESPACE::meta
