#include "api/cost_model.hpp"

#include <algorithm>
#include <cstring>

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

// Measured (docs/performance.md): beyond this a group's parameters leave the second-level cache.
constexpr double kLanesCacheBytes = 400e3;
// Beyond this width a row fills the registers of Rows as well as tasks fill those of Lanes.
constexpr Index kLanesWidest = 48;

// Everything is relative to Rows. Forming tasks into lanes pays most where layers are narrow.
constexpr double kRowsCost = 1, kReferenceCost = 2;
constexpr double kLanesBase = 0.38, kLanesPerUnit = 0.009, kLanesDouble = 0.1;
constexpr double kLanesWide = 1.2, kLanesBeyondCache = 2.2;

Index widest_layer(const NetworkSpec& net) {
  return *std::max_element(net.sizes.begin(), net.sizes.begin() + net.depth + 1);
}

/// Time of Lanes over time of Rows. Lanes without a task cost as much as those with one.
template <class T>
double lanes_cost(const Problem& problem) {
  const Index lanes = kLanes<T>, widest = widest_layer(problem.net);
  const Index groups = (problem.tasks + lanes - 1) / lanes;
  const double use = static_cast<double>(problem.tasks) / static_cast<double>(groups * lanes);
  const auto bytes = static_cast<double>(problem.layout.n_params * kVectorBytes);
  double full = kLanesBase + kLanesPerUnit * static_cast<double>(widest);
  if (widest > kLanesWidest) full = kLanesWide;
  if (bytes > kLanesCacheBytes) full = kLanesBeyondCache;
  return (full + (sizeof(T) == sizeof(double) ? kLanesDouble : 0)) / use;
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
