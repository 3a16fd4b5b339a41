#include "api/cost_model.hpp"

#include <algorithm>
#include <cstring>

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

// Measured bounds (docs/performance.md): beyond them a group of lanes no longer fits the cache, or
// its register block is narrower than a row's.
constexpr double kLanesCacheBytes = 400e3;
constexpr Index kLanesWidest = 48;
constexpr double kLanesLeastUse = 0.7;

constexpr double kLanesCost = 1, kRowsCost = 2, kReferenceCost = 3, kUnwiseCost = 10;

Index widest_layer(const NetworkSpec& net) {
  return *std::max_element(net.sizes.begin(), net.sizes.begin() + net.depth + 1);
}

template <class T>
bool lanes_are_wise(const Problem& problem) {
  const Index lanes = kLanes<T>;
  const Index groups = (problem.tasks + lanes - 1) / lanes;
  const double use = static_cast<double>(problem.tasks) / static_cast<double>(groups * lanes);
  const double bytes = static_cast<double>(problem.layout.n_params * kVectorBytes);
  return use >= kLanesLeastUse && bytes <= kLanesCacheBytes &&
         widest_layer(problem.net) <= kLanesWidest;
}

}  // namespace

template <class T>
double estimated_cost(const char* engine, const Problem& problem) {
  if (std::strcmp(engine, "lanes") == 0) return lanes_are_wise<T>(problem) ? kLanesCost : kUnwiseCost;
  if (std::strcmp(engine, "rows") == 0) return kRowsCost;
  return kReferenceCost;
}

template double estimated_cost<float>(const char*, const Problem&);
template double estimated_cost<double>(const char*, const Problem&);

}  // namespace FOMAML_FAST_NAMESPACE::api
