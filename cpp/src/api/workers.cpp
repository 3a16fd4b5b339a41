#include "api/workers.hpp"

#include <algorithm>

#include "api/operations.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

// One thread's pace on small networks, conservatively: small layers never reach the peak.
constexpr double kOperationsPerMicrosecond = 20e3;
// A region costs about 1 us while the workers still spin, and 70-80 us once they sleep
// (docs/performance.md): the work must be worth a few of them.
constexpr double kWarmMicroseconds = 8;
constexpr double kColdMicroseconds = 150;

}  // namespace

int worthwhile_workers(const Problem& problem, int available) {
  const double alone = operations(problem) / kOperationsPerMicrosecond;
  const double needed = parallel::warm() ? kWarmMicroseconds : kColdMicroseconds;
  if (alone < needed) return 1;
  return static_cast<int>(std::min<Index>(available, std::max<Index>(problem.tasks, 1)));
}

}  // namespace FOMAML_FAST_NAMESPACE::api
