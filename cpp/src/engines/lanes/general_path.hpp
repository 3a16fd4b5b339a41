// adapt and meta_gradient of one group of tasks after another, by the flows of meta/: every
// algorithm that the fused steps of group_run.hpp do not cover.
#pragma once

#include "engines/lanes/packing.hpp"
#include "engines/lanes/pass.hpp"
#include "engines/partial_sums.hpp"
#include "meta/flow.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

/// One worker's buffers.
template <class T>
struct GeneralPathBuffers {
  using V = Vec<T>;

  GeneralPathBuffers(const Problem& problem, const Shapes& shapes, const PartialSums<T>& sums,
                     Arena& arena);

  /// 0 between rows again, where a task that overflowed has left something else there.
  void clear(const Shapes& shapes, Index context) const {
    for (const Taken& taken : all) clear_room(shapes, taken.vectors, taken.count, context);
  }

  struct Taken {
    V* vectors = nullptr;
    Index count = 0;
  };
  std::array<Taken, 10> all{};  ///< every vector of parameters
  meta::Vectors<V> vectors;
  V* lambda = nullptr;        ///< packed parameters, then the context
  V* total = nullptr;         ///< meta-gradients of a block, added up, then those of the rates
  LongSum<V> totals;          ///< of many groups: total is then the latest
  V* below_first = nullptr;   ///< put off: tangents of the gradient on what does not adapt
  V* context_sums = nullptr;  ///< sums over the rows of layer 0: [2, fan_out]
  LaneRows<T> support, query;
  Activity<T>* tape = nullptr;  ///< of every step if the flow looks back, else of the latest
  Activity<T> query_activity;
  Tangents<T> tangents;
};

/// Packs in the gradient of the rates, which are a table or as parameters are.
inline Index rate_count(const Problem& problem, const Shapes& shapes) {
  return problem.algorithm.rates_per_parameter ? shapes.size : problem.n_rates();
}

template <class T>
class GeneralPath {
 public:
  using V = Vec<T>;

  GeneralPath(const Problem& problem, const Shapes& shapes, const Call<T>& call,
              const CallBuffers<T>& shared, const GeneralPathBuffers<T>& buffers);

  void adapt(Group group);
  /// The group's meta-gradients are added to the buffers' total, or start it.
  void meta_gradient(Group group, bool starts_total);

 private:
  class Tasks;
  void start(Group group);
  void fill_frozen(const V* start) const;
  V unroll(Tasks& tasks);
  void flag(V defect) const;
  void write_adapted(const V* theta, const LaneArrays<T>& to) const;

  const Problem& problem_;
  const Shapes& shapes_;
  const Call<T>& call_;
  const CallBuffers<T>& shared_;
  const GeneralPathBuffers<T>& buffers_;
  std::array<inner::Segment, kMaxLayers> segments_{};
  inner::Adapted<V> adapted_;
  meta::Inputs<V> inputs_;
  Group group_{};
  bool has_start_ = false;  ///< theta_0 is in place, and stays there
};

}  // namespace FOMAML_FAST_NAMESPACE::lanes
