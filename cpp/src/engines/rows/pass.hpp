// The rows of a task through the network: forward, back, and into the weights.
#pragma once

#include "engines/rows/plan.hpp"
#include "kernels/micro_kernel.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

/// What a pass has to remember.
enum class Keep : std::uint8_t {
  outputs,       ///< forward only
  deltas,        ///< forward and backward
  second_order,  ///< also what the R-operator needs
};

/// Activations of up to `rows` rows, row-major with padded leading dimensions.
///
/// In second order two halves are stacked, [h; Rh] and [Rd; d], so that h' Rd + Rh' d is one
/// product; where the halves meet depends on the number of rows that are in use.
template <class T>
struct Pass {
  using Slots = std::array<T*, kMaxLayers>;

  Slots outputs{};   ///< h of each layer; the last's are the network's
  Slots inputs{};    ///< s: where the activation's derivatives are taken, z or h
  Slots deltas{};    ///< gradient on each layer's z
  Slots upstream{};  ///< second order, curved layers: gradient on h
  Keep keep = Keep::outputs;

  int first = 0;  ///< layers below are the same in all copies

  /// Buffers of `copies` passes; `copy` picks one. They share what is below layer `first`.
  static Pass carve(const Plan<T>& plan, Index rows, Keep keep, Arena& arena, Index copies = 1,
                    int first = 0) {
    Pass pass;
    pass.keep = keep;
    pass.first = first;
    const Index stack = keep == Keep::second_order ? 2 : 1;
    for (int l = 0; l < plan.depth; ++l) {
      const std::size_t i = NetworkSpec::at(l);
      const Index size = (l < first ? 1 : copies) * rows * plan[l].out_stride;
      pass.outputs[i] = arena.take<T>(stack * size);
      pass.inputs[i] = plan[l].needs_input ? arena.take<T>(size) : pass.outputs[i];
      if (keep == Keep::outputs) continue;
      pass.deltas[i] = arena.take<T>(stack * size);
      if (keep == Keep::second_order && plan[l].curved) pass.upstream[i] = arena.take<T>(size);
    }
    return pass;
  }

  [[nodiscard]] T* h(int l) const { return outputs[NetworkSpec::at(l)]; }
  [[nodiscard]] T* s(int l) const { return inputs[NetworkSpec::at(l)]; }
  [[nodiscard]] T* u(int l) const { return upstream[NetworkSpec::at(l)]; }
  [[nodiscard]] T* d(const Plan<T>& plan, int l, Index rows) const {
    T* half = deltas[NetworkSpec::at(l)];
    return keep == Keep::second_order ? half + rows * plan[l].out_stride : half;
  }
  [[nodiscard]] T* rh(const Plan<T>& plan, int l, Index rows) const {
    return h(l) + rows * plan[l].out_stride;
  }
  [[nodiscard]] T* rd(int l) const { return deltas[NetworkSpec::at(l)]; }

  /// The same buffers from row `row` on; not for second order.
  [[nodiscard]] Pass from_row(const Plan<T>& plan, Index row) const {
    return shifted(plan, row, 1, 0);
  }
  /// Pass `k` of several, of `rows` rows each.
  [[nodiscard]] Pass copy(const Plan<T>& plan, Index rows, Index k) const {
    return shifted(plan, k * rows, keep == Keep::second_order ? 2 : 1, first);
  }

 private:
  [[nodiscard]] Pass shifted(const Plan<T>& plan, Index rows, Index stack, int from) const {
    Pass pass = *this;
    for (int l = from; l < plan.depth; ++l) {
      const std::size_t i = NetworkSpec::at(l);
      const Index offset = rows * plan[l].out_stride;
      pass.outputs[i] += stack * offset;
      pass.inputs[i] += plan[l].needs_input ? offset : stack * offset;
      if (pass.deltas[i] != nullptr) pass.deltas[i] += stack * offset;
      if (pass.upstream[i] != nullptr) pass.upstream[i] += offset;
    }
    return pass;
  }
};

/// Inputs of some rows of a task.
template <class T>
struct Rows {
  const T* x = nullptr;  ///< [count, n_0]
  Index count = 0;

  static Rows of(const RowSet<T>& set, Index task, Index inputs) {
    return {set.x + set.first(task) * inputs, set.count(task)};
  }
};

/// Fills the outputs of layers `first` and above.
template <class T>
void forward(const Plan<T>& plan, const Weights<T>& weights, const Rows<T>& rows,
             const Pass<T>& pass, int first = 0);

/// Fills the deltas of layers `first` and above, from the last layer's.
template <class T>
void backward(const Plan<T>& plan, const Weights<T>& weights, const Rows<T>& rows,
              const Pass<T>& pass, int first = 0);

/// to = start + the gradient of layer l's weights and biases, after backward.
template <class T>
void layer_gradient(const Plan<T>& plan, int l, const Rows<T>& rows, const Pass<T>& pass,
                    bool from_zero, const Weights<T>& to);

/// to = start + the gradient of layer l's weights, after backward.
template <class T>
void weight_gradient(const Plan<T>& plan, int l, const Rows<T>& rows, const Pass<T>& pass,
                     Columns<const T> start, Columns<T> to);

/// One step of gradient descent, after backward: to = from - rate * gradient for layers `first` and
/// above (biases for all). `rates` holds one per layer; `scaled` is scratch of rows x widest.
/// `to` may be `from`. Layer 0's scaled delta stays in `scaled`.
template <class T>
void descend(const Plan<T>& plan, const Weights<T>& from, const Weights<T>& to, const T* rates,
             const Rows<T>& rows, const Pass<T>& pass, T* scaled, bool transposes_too,
             int first = 0);

}  // namespace FOMAML_FAST_NAMESPACE::rows
