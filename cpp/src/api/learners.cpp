#include "api/learners.hpp"

#include <algorithm>

#include "api/workers.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

/// The work of all learners, as far as threads and patience depend on it.
Problem together(const Problem& one, Index count) {
  Problem all = one;
  all.tasks *= count;
  all.support.total *= count;
  all.query.total *= count;
  return all;
}

/// Ends the call; a learner that diverged does not.
constexpr bool is_fatal(Status status) {
  return status != Status::ok && status != Status::diverged;
}

}  // namespace

Status run_learners(Index count, const Problem& one, const Execution& execution, LearnerPart part,
                    void* context, Status* ended) {
  std::fill_n(ended, count, Status::ok);
  const Problem all = together(one, count);
  const int worthwhile = worthwhile_workers(all, execution, false);
  // Few learners of many tasks keep more threads busy one after another.
  if (count < worthwhile && one.tasks >= count) {
    for (Index learner = 0; learner < count; ++learner) {
      ended[learner] = part(context, learner, execution);
      if (is_fatal(ended[learner])) return ended[learner];
    }
    return Status::ok;
  }
  const int workers = present_workers(static_cast<int>(std::min<Index>(worthwhile, count)));
  const Interrupt hook = is_brief(all) ? Interrupt{} : execution.interrupt;
  bool finished = false;
  {
    const Attendance attendance(workers);
    finished = parallel::run(workers, hook, [&](Team& team) {
      Execution alone{.workers = 1, .exact = true, .interrupt = {}};
      if (hook.requested != nullptr) {
        alone.interrupt = {[](void* of) { return static_cast<Team*>(of)->stopped(); }, &team};
      }
      team.share(count, [&](Index learner) { ended[learner] = part(context, learner, alone); });
    });
  }
  if (!finished) return Status::interrupted;
  const Status *const first = ended, *const last = ended + count;
  const Status* const fatal = std::find_if(first, last, is_fatal);
  return fatal == last ? Status::ok : *fatal;
}

}  // namespace FOMAML_FAST_NAMESPACE::api
