#include "api/cost_model.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

// Everything is relative to Rows.
constexpr double kRowsCost = 1, kReferenceCost = 2;

// Measured (docs/performance.md, `python -m benchmarks.engines`): forming tasks into lanes pays
// most where layers are narrow, and less for each doubling of the widest; less also in long sets,
// over which Rows spreads what it does once per task and step.
struct LanesCurve {
  double intercept, per_doubling, least;
};
// With vectors of 64 bytes, Rows fills those of narrow layers less, and wide packs of Lanes leave
// the first-level cache sooner.
template <class T>
constexpr LanesCurve kLanesCurve =
    kVectorBytes == 64 ? LanesCurve{-0.35, 0.195, 0.2} : LanesCurve{0.03, 0.13, 0.25};
template <>
constexpr LanesCurve kLanesCurve<double> =
    kVectorBytes == 64 ? LanesCurve{-0.21, 0.19, 0.2} : LanesCurve{0.36, 0.085, 0.25};
constexpr double kLanesFewRows = 10, kLanesManyRows = 30, kLanesInManyRows = 0.1;
// What a group keeps of every step leaves the caches: so much more for each doubling.
constexpr double kLanesCacheBytes = 800e3, kLanesPerDoublingBeyond = 0.1;
// Wider networks gain little: too little to leave processors without a group of tasks, however many
// there are.
constexpr Index kLanesNarrow = 48, kLanesGroupsIfWider = 8;
constexpr double kLanesTooFewGroups = 0.4;

Index widest_layer(const NetworkSpec& net) {
  return *std::max_element(net.sizes.begin(), net.sizes.begin() + net.depth + 1);
}

/// Time of Lanes over time of Rows. Lanes without a task cost as much as those with one.
template <class T>
double lanes_cost(const Problem& problem) {
  const Index lanes = kLanes<T>, widest = widest_layer(problem.net);
  const Index groups = (problem.tasks + lanes - 1) / lanes;
  const double use = static_cast<double>(problem.tasks) / static_cast<double>(groups * lanes);
  const bool keeps_steps =
      problem.operation == Operation::meta_gradient && problem.algorithm.flow == Flow::exact;
  const Index kept = (keeps_steps ? std::max(1, problem.algorithm.steps) : 1) * kVectorBytes;
  const double rows = static_cast<double>(problem.support.longest);

  constexpr LanesCurve curve = kLanesCurve<T>;
  double full = curve.intercept + curve.per_doubling * std::log2(static_cast<double>(widest));
  full = std::max(full, curve.least);
  full += kLanesInManyRows *
          std::clamp((rows - kLanesFewRows) / (kLanesManyRows - kLanesFewRows), 0.0, 1.0);
  const auto bytes = static_cast<double>(problem.layout.n_params * kept);
  full += kLanesPerDoublingBeyond * std::log2(std::max(1.0, bytes / kLanesCacheBytes));
  if (widest > kLanesNarrow && groups < kLanesGroupsIfWider) full += kLanesTooFewGroups;
  return full / use;
}

}  // namespace

template <class T>
double estimated_cost(const char* engine, const Problem& problem) {
  if (std::strcmp(engine, "lanes") == 0) return lanes_cost<T>(problem);
  if (std::strcmp(engine, "rows") == 0) return kRowsCost;
  return kReferenceCost;
}

template double estimated_cost<float>(const char*, const Problem&);
template double estimated_cost<double>(const char*, const Problem&);

}  // namespace FOMAML_FAST_NAMESPACE::api
