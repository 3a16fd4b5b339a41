#include "engines/lanes/cost.hpp"

#include <algorithm>
#include <cmath>

#include "engines/cost.hpp"
#include "engines/work.hpp"

namespace FOMAML_FAST_NAMESPACE::lanes {

namespace {

// Measured (docs/measurements.md, `python -m benchmarks.engines`): forming tasks into lanes pays
// most where layers are narrow, and less for each doubling of the widest; less also in long sets,
// over which Rows spreads what it does once per task and step.
struct Curve {
  double intercept, per_doubling, least;
};
// With vectors of 64 bytes, Rows fills those of narrow layers less, and wide packs of Lanes leave
// the first-level cache sooner.
template <class T>
constexpr Curve kCurve = kVectorBytes == 64 ? Curve{-0.35, 0.195, 0.2} : Curve{0.03, 0.13, 0.25};
template <>
constexpr Curve kCurve<double> =
    kVectorBytes == 64 ? Curve{-0.21, 0.19, 0.2} : Curve{0.36, 0.085, 0.25};
constexpr double kFewRows = 10, kManyRows = 30, kInManyRows = 0.1;
// What a group keeps of every step leaves the caches: so much more for each doubling.
constexpr double kCacheBytes = 800e3, kPerDoublingBeyond = 0.1;
// Wider networks gain little: too little to leave processors without a group of tasks, however many
// there are.
constexpr Index kNarrow = 48, kGroupsIfWider = 8;
constexpr double kTooFewGroups = 0.4;

// Of a group of heads in closed form, beside one task in the reference engine, which computes them
// too (docs/notebook.md).
constexpr double kHeadIntercept = 0.35, kHeadPerDoubling = 0.14;

Index widest_layer(const NetworkSpec& net) {
  return *std::max_element(net.sizes.begin(), net.sizes.begin() + net.depth + 1);
}

}  // namespace

template <class T>
double cost(const Problem& problem) {
  const Index lanes = kLanes<T>, widest = widest_layer(problem.net);
  const Index groups = (problem.tasks + lanes - 1) / lanes;
  const double use = static_cast<double>(problem.tasks) / static_cast<double>(groups * lanes);
  const bool keeps_steps =
      problem.operation == Operation::meta_gradient && problem.algorithm.flow == Flow::exact;
  const Index kept = (keeps_steps ? std::max(1, problem.algorithm.steps) : 1) * kVectorBytes;
  const double rows = static_cast<double>(problem.support.longest);

  if (problem.algorithm.head.given()) {
    const double of_group =
        kHeadIntercept + kHeadPerDoubling * std::log2(static_cast<double>(widest));
    return kReferenceCost * of_group * static_cast<double>(groups) /
           static_cast<double>(problem.tasks);
  }
  constexpr Curve curve = kCurve<T>;
  double full = curve.intercept + curve.per_doubling * std::log2(static_cast<double>(widest));
  full = std::max(full, curve.least);
  full += kInManyRows * std::clamp((rows - kFewRows) / (kManyRows - kFewRows), 0.0, 1.0);
  const auto bytes = static_cast<double>(problem.layout.n_params * kept);
  full += kPerDoublingBeyond * std::log2(std::max(1.0, bytes / kCacheBytes));
  if (widest > kNarrow && groups < kGroupsIfWider) full += kTooFewGroups;
  return full / use;
}

Work work(const Problem& problem, Index lanes) {
  const auto tasks = static_cast<double>(problem.tasks);
  const auto computed = static_cast<double>((problem.tasks + lanes - 1) / lanes * lanes);
  return {operations(problem, PassCosts::padded(problem.net, 1)) * computed / tasks};
}

template double cost<float>(const Problem&);
template double cost<double>(const Problem&);

}  // namespace FOMAML_FAST_NAMESPACE::lanes
