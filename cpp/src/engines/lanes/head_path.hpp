// adapt and meta_gradient of one group of tasks after another, where the last layer is adapted in
// closed form.
#pragma once

#include "engines/lanes/head_solver.hpp"
#include "engines/lanes/packing.hpp"
#include "engines/lanes/pass.hpp"
#include "engines/partial_sums.hpp"
#include "meta/inputs.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

/// One worker's buffers.
template <class T>
struct HeadBuffers {
  using V = Vec<T>;

  HeadBuffers(const Problem& problem, const Shapes& shapes, const HeadNumbers<T>& numbers,
              const PartialSums<T>& sums, Arena& arena);

  HeadSolver<T> solver;
  meta::Vectors<V> vectors;
  LaneRows<T> support, query;  ///< x of the query stands behind that of the support
  Activity<T> activity;        ///< of both
  std::array<normalization::Layer<V>, kMaxLayers> query_norms{};  ///< where each has statistics
  V *start = nullptr, *weights = nullptr;  ///< W0 and W, [m, n], as the solver has them
  V* lambda = nullptr;                     ///< packed parameters
  V *w_bar = nullptr, *noise_bar = nullptr;
  V* total = nullptr;  ///< meta-gradients of a block, added up, then those of the numbers
  LongSum<V> totals;   ///< of many groups: total is then the latest
};

template <class T>
class HeadPath {
 public:
  using V = Vec<T>;

  HeadPath(const Problem& problem, const Shapes& shapes, const Call<T>& call,
           const CallBuffers<T>& shared, const HeadNumbers<T>& numbers, HeadBuffers<T>& buffers);

  void adapt(Group group);
  /// The group's meta-gradients are added to the buffers' total, or start it.
  void meta_gradient(Group group, bool starts_total);

  // What a trace asks for.
  [[nodiscard]] V query_loss(const V* at);
  [[nodiscard]] V defect(const V* at) const;
  template <class Where>
  void write(const V* at, const Where& where) const;

 private:
  void start(Group group);
  template <class Body>
  void with_theta(Body&& body) const;
  void load();
  [[nodiscard]] FeatureRows<V> features(const V* x, const Activity<T>& activity, Index rows) const;
  /// Outputs of the last layer, which stands in theta.
  V* outputs(const V* theta, const LaneRows<T>& rows, const Activity<T>& activity) const;
  void find_errors(const V* predicted) const;
  V solve();
  void predict();
  V query_gradient();
  void feature_gradient(const LaneRows<T>& rows, const Activity<T>& activity, const V* z_bar,
                        const V* a, const V* b) const;
  void body_gradient(const LaneRows<T>& rows, const Activity<T>& activity, bool add) const;
  V gradients();
  void number_gradient(V scale_bar, V shift_bar) const;
  void flag(V defect) const;

  [[nodiscard]] Index head_at() const { return shapes_.last().weight; }
  [[nodiscard]] V* head(int k) const { return buffers_.vectors.theta(k) + head_at(); }
  [[nodiscard]] std::size_t top() const { return NetworkSpec::at(shapes_.depth - 1); }

  const Problem& problem_;
  const Shapes& shapes_;
  Shapes body_;  ///< the layers below the last
  const Call<T>& call_;
  const CallBuffers<T>& shared_;
  const HeadNumbers<T>& numbers_;
  HeadBuffers<T>& buffers_;
  Group group_{};
  bool has_start_ = false;  ///< theta_0 is in place, and stays there
  V body_defect_{};         ///< of theta_0 but for the last layer
  bool has_query_;
  bool batch_norm_;             ///< each set has statistics of its own
  LaneRows<T> both_;            ///< the group's rows, support and query
  Activity<T> query_activity_;  ///< the query's part
};

}  // namespace FOMAML_FAST_NAMESPACE::lanes
