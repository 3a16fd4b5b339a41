// adapt and meta_gradient by the flows of meta/: every algorithm that the fused steps of
// adaptation.hpp do not cover.
//
// Vectors of parameters are packed as the products want them, and taken as packs of neighbouring
// numbers by the elementwise steps.
#pragma once

#include "engines/partial_sums.hpp"
#include "engines/rows/curvature.hpp"
#include "engines/rows/operation.hpp"
#include "engines/rows/packing.hpp"
#include "meta/flow.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

template <class T>
class GeneralPath {
 public:
  using V = Vec<T>;

  struct CallBuffers {
    CallBuffers(const Problem& problem, const Shapes<T>& shapes, Arena& arena);
    Index n_rates = 0;  ///< packs in the cotangent of the rates
    PartialSums<T> sums;
    Weights<T> rates;  ///< per parameter, packed
  };

  struct Worker {
    Worker(const Problem& problem, const Shapes<T>& shapes, const CallBuffers& shared,
           Arena& arena);
    meta::Vectors<V> vectors;
    T* transposes = nullptr;  ///< W' of every theta
    V* lambda = nullptr;
    Pass<T> support, query;
    CurvatureScratch<T> curvature;
    TargetPacks<T> support_targets, query_targets;
    LossScratch<T> loss;
    T* below_first = nullptr;  ///< put off: R of the gradient on what does not adapt
  };

  static void run(const Frame<T>& frame, const CallBuffers& shared, Worker& worker, Team& team);

 private:
  class Tasks;
  GeneralPath(const Frame<T>& frame, const CallBuffers& shared, Worker& worker);

  void start(Index task);
  bool unroll(Tasks& tasks, Index task);
  void adapt(Index task);
  void meta_gradient(Index task, T* partial, T* error);
  static void reduce(const Frame<T>& frame, const CallBuffers& shared, Team& team);

  [[nodiscard]] Weights<T> weights(const V* theta) const {
    const Index slot = (theta - worker_.vectors.thetas) / worker_.vectors.size;
    return {const_cast<T*>(reinterpret_cast<const T*>(theta)),
            worker_.transposes + slot * frame_.shapes.packed_transposes};
  }

  const Frame<T>& frame_;
  const CallBuffers& shared_;
  Worker& worker_;
  /// A layer's weights and biases may lie apart.
  std::array<inner::Segment, 2 * kMaxLayers> segments_{};
  inner::Adapted<V> adapted_;
  meta::Inputs<V> inputs_;
  bool has_start_ = false;  ///< theta_0 is in place, and stays there
};

}  // namespace FOMAML_FAST_NAMESPACE::rows
