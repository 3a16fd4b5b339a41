#include "api/plan.hpp"

#include "api/engines.hpp"
#include "api/workers.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

template <class T>
PlanReport plan(const Problem& problem, const Execution& execution) {
  PlanReport report;
  report.chosen = choose_engine<T>(problem);
  if (report.chosen < 0) return report;
  const Engine<T> chosen = engine<T>(report.chosen);
  const int workers = worthwhile_workers(problem, execution, chosen.shares_products);
  // Crowds come and go: the call after one must not need a larger workspace than those during it.
  report.workspace_bytes = chosen.workspace_bytes(problem, workers);
  report.workers = present_workers(workers);
  return report;
}

template PlanReport plan<float>(const Problem&, const Execution&);
template PlanReport plan<double>(const Problem&, const Execution&);

}  // namespace FOMAML_FAST_NAMESPACE::api
