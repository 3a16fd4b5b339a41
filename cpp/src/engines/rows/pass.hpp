// The rows of a task through the network: forward, back, and into the weights.
#pragma once

#include "engines/rows/plan.hpp"
#include "kernels/micro_kernel.hpp"
#include "network/normalization.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

/// What a pass has to remember.
enum class Keep : std::uint8_t {
  outputs,       ///< forward only
  deltas,        ///< forward and backward
  second_order,  ///< also what the R-operator needs
};

/// Padded numbers as packs.
template <class T>
Vec<T>* packs(T* numbers) {
  return reinterpret_cast<Vec<T>*>(numbers);
}
template <class T>
const Vec<T>* packs(const T* numbers) {
  return reinterpret_cast<const Vec<T>*>(numbers);
}

/// Activations of up to `rows` rows, row-major with padded leading dimensions.
///
/// In second order two halves are stacked, [h; Rh] and [Rd; d], so that h' Rd + Rh' d is one
/// product; where the halves meet depends on the number of rows that are in use.
template <class T>
struct Pass {
  using Slots = std::array<T*, kMaxLayers>;
  using Norms = std::array<normalization::Layer<Vec<T>>, kMaxLayers>;

  Slots outputs{};     ///< h of each layer; the last's are the network's
  Slots inputs{};      ///< s: where the activation's derivatives are taken, its inputs u or h
  Slots deltas{};      ///< gradient on each layer's z
  Slots normalized{};  ///< gradient on u; normalised layers, elsewhere u is z
  Slots upstream{};    ///< second order, curved layers: gradient on h
  Norms norms{};
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
      if (plan[l].normalized()) {
        pass.norms[i] = normalization::Layer<Vec<T>>::carve(plan[l].norm, rows, plan[l].out_vectors,
                                                            false, arena, l < first ? 1 : copies);
        pass.norms[i].across = plan[l].fan_out;
      }
      if (keep == Keep::outputs) continue;
      if (plan[l].normalized()) pass.normalized[i] = arena.take<T>(size);
      pass.deltas[i] = arena.take<T>(stack * size);
      if (keep == Keep::second_order && plan[l].curved) pass.upstream[i] = arena.take<T>(size);
    }
    return pass;
  }

  [[nodiscard]] T* h(int l) const { return outputs[NetworkSpec::at(l)]; }
  [[nodiscard]] T* s(int l) const { return inputs[NetworkSpec::at(l)]; }
  [[nodiscard]] T* dh(int l) const { return upstream[NetworkSpec::at(l)]; }
  /// Gradient on u, and the place of that on z where no normalisation stands between.
  [[nodiscard]] T* du(const Plan<T>& plan, int l, Index rows) const {
    return plan[l].normalized() ? normalized[NetworkSpec::at(l)] : d(plan, l, rows);
  }
  [[nodiscard]] normalization::Layer<Vec<T>> norm(int l, Index rows) const {
    return norms[NetworkSpec::at(l)].with_rows(rows);
  }
  [[nodiscard]] T* d(const Plan<T>& plan, int l, Index rows) const {
    T* half = deltas[NetworkSpec::at(l)];
    return keep == Keep::second_order ? half + rows * plan[l].out_stride : half;
  }
  [[nodiscard]] T* rh(const Plan<T>& plan, int l, Index rows) const {
    return h(l) + rows * plan[l].out_stride;
  }
  [[nodiscard]] T* rd(int l) const { return deltas[NetworkSpec::at(l)]; }

  /// The same buffers from row `row` on; neither for second order nor for normalised layers.
  [[nodiscard]] Pass from_row(const Plan<T>& plan, Index row) const {
    return shifted(plan, row, 1, 0);
  }
  /// Pass `k` of several, of `rows` rows each.
  [[nodiscard]] Pass copy(const Plan<T>& plan, Index rows, Index k) const {
    Pass pass = shifted(plan, k * rows, keep == Keep::second_order ? 2 : 1, first);
    for (int l = first; l < plan.depth; ++l) {
      pass.norms[NetworkSpec::at(l)] = norms[NetworkSpec::at(l)].copy(k);
    }
    return pass;
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
      if (pass.normalized[i] != nullptr) pass.normalized[i] += offset;
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

/// to [count, out_stride of the last layer] = from [count, n_L], and 0 where it is padded.
template <class T>
void copy_outputs(const Plan<T>& plan, const T* from, Index count, T* to);

/// Fills the outputs of layers `first` and above.
template <class T>
void forward(const Plan<T>& plan, const Weights<T>& weights, const Rows<T>& rows,
             const Pass<T>& pass, int first = 0);

/// Fills the deltas of layers `first` and above, from the last layer's.
template <class T>
void backward(const Plan<T>& plan, const Weights<T>& weights, const Rows<T>& rows,
              const Pass<T>& pass, int first = 0);

/// Where `du` holds the gradient on u of layer l: that on z, if a normalisation stands between.
template <class T>
void through_norm(const Plan<T>& plan, const Weights<T>& weights, Index rows, const Pass<T>& pass,
                  int l);

/// to += the sums over the rows of layer l that are the gradients of b, gamma and beta.
template <class T>
void add_row_gradients(const Plan<T>& plan, int l, Index rows, const Pass<T>& pass, T* bias,
                       T* gain, T* shift);

/// to = start + the gradient of all of layer l's parameters, after backward.
template <class T>
void layer_gradient(const Plan<T>& plan, int l, const Rows<T>& rows, const Pass<T>& pass,
                    bool from_zero, const Weights<T>& to);

/// to = start + the gradient of layer l's weights, after backward.
template <class T>
void weight_gradient(const Plan<T>& plan, int l, const Rows<T>& rows, const Pass<T>& pass,
                     Columns<const T> start, Columns<T> to);

/// One step of gradient descent without normalised layers, after backward: to = from - rate *
/// gradient for layers `first` and above (biases for all). `rates` holds one per layer; `scaled` is
/// scratch of rows x widest. `to` may be `from`. Layer 0's scaled delta stays in `scaled`.
template <class T>
void descend(const Plan<T>& plan, const Weights<T>& from, const Weights<T>& to, const T* rates,
             const Rows<T>& rows, const Pass<T>& pass, T* scaled, bool transposes_too,
             int first = 0);

}  // namespace FOMAML_FAST_NAMESPACE::rows
