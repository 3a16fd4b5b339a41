#include "api/run.hpp"

#include <algorithm>

#include "api/engines.hpp"
#include "api/plan.hpp"
#include "api/workers.hpp"
#include "base/memory.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

template <class T>
Status run(const Problem& problem, const Call<T>& call, const Execution& execution) {
  if (call.diverged != nullptr) std::fill_n(call.diverged, problem.tasks, std::uint8_t{0});
  const PlanReport planned = plan<T>(problem, execution);
  if (planned.chosen < 0) return Status::unsupported;
  Execution chosen = execution;
  chosen.workers = planned.workers;
  if (is_brief(problem)) chosen.interrupt = {};
  const Workspace workspace = Workspace::checkout(planned.workspace_bytes);
  if (workspace.memory() == nullptr) return Status::out_of_memory;
  Status status{};
  {
    const Attendance attendance(planned.workers);
    status = engine<T>(planned.chosen).run(problem, call, chosen, workspace.memory());
  }
  if (status != Status::ok || call.diverged == nullptr) return status;
  const std::uint8_t* flags = call.diverged;
  const bool any = std::any_of(flags, flags + problem.tasks, [](std::uint8_t f) { return f != 0; });
  return any ? Status::diverged : Status::ok;
}

template Status run<float>(const Problem&, const Call<float>&, const Execution&);
template Status run<double>(const Problem&, const Call<double>&, const Execution&);

}  // namespace FOMAML_FAST_NAMESPACE::api
