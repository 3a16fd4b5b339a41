#include "engines/lanes/lanes.hpp"

#include "engines/lanes/group_run.hpp"

namespace FOMAML_FAST_NAMESPACE {

namespace lanes {
namespace {

bool supports(const Problem& problem) {
  switch (problem.operation) {
    case Operation::vjp:
    case Operation::jvp:
    case Operation::vjp_tangent:
    case Operation::gnvp:
      return false;
    default:
      return !problem.net.normalized() && problem.algorithm.is_plain(problem.net.depth) &&
             problem.algorithm.context == 0 && !problem.wants_trace && !problem.weighs_tasks;
  }
}

/// Lane sums of each block's meta-gradients: [blocks, P].
template <class T>
T* take_partials(const Plan& plan, Arena& arena) {
  return plan.meta ? arena.take<T>(plan.blocks * plan.n_params) : nullptr;
}

template <class T>
std::size_t workspace_bytes(const Problem& problem, int workers) {
  const Plan plan(problem, kLanes<T>);
  Arena arena;
  take_partials<T>(plan, arena);
  for (int worker = 0; worker < workers; ++worker) Workspace<T>(problem, plan, arena);
  return arena.used();
}

template <class T>
void meta_gradient(const Problem& problem, const Plan& plan, const Call<T>& call, Team& team,
                   const Workspace<T>& work, T* partials) {
  const Index P = plan.n_params;
  GroupRun<T> groups(problem, plan, call, work);
  team.share(plan.blocks, [&](Index block) {
    const Index first = plan.groups * block / plan.blocks;
    const Index last = plan.groups * (block + 1) / plan.blocks;
    T* const partial = partials + block * P;
    // Reading every task's meta-gradient to see whether it is finite costs 2% of a step. The sum
    // tells as much; only if it is not finite is the block run again to find the tasks.
    for (const bool flag_vectors : {false, true}) {
      for (Index i = first; i < last && !team.stopped(); ++i) {
        groups.meta_gradient(Group::of(i, problem.tasks, kLanes<T>), i == first, flag_vectors);
      }
      if (lane_sums<T>(work.total, P, partial)) break;
    }
  });
  team.barrier();
  constexpr Index kChunk = 512;
  team.share((P + kChunk - 1) / kChunk, [&](Index chunk) {
    const Index end = std::min(P, (chunk + 1) * kChunk);
    for (Index i = chunk * kChunk; i < end; ++i) {
      T sum = partials[i];
      for (Index block = 1; block < plan.blocks; ++block) sum += partials[block * P + i];
      call.grad[i] = sum * call.grad_scale;
    }
  });
}

template <class T>
Status run(const Problem& problem, const Call<T>& call, const Execution& execution,
           std::byte* memory) {
  const Plan plan(problem, kLanes<T>);
  Arena shared(memory);
  T* const partials = take_partials<T>(plan, shared);
  Arena one;
  Workspace<T>(problem, plan, one);
  const bool finished = parallel::run(execution.workers, execution.interrupt, [&](Team& team) {
    Arena arena(memory + shared.used() + static_cast<std::size_t>(team.worker()) * one.used());
    const Workspace<T> work(problem, plan, arena);
    if (plan.meta) return meta_gradient(problem, plan, call, team, work, partials);
    GroupRun<T> groups(problem, plan, call, work);
    team.share(plan.groups, [&](Index i) { groups.run(Group::of(i, problem.tasks, kLanes<T>)); });
  });
  return finished ? Status::ok : Status::interrupted;
}

}  // namespace
}  // namespace lanes

template <class T>
Engine<T> lanes_engine() {
  return {"lanes", &lanes::supports, &lanes::workspace_bytes<T>, &lanes::run<T>};
}

template Engine<float> lanes_engine<float>();
template Engine<double> lanes_engine<double>();

}  // namespace FOMAML_FAST_NAMESPACE
