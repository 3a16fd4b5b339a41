#include "engines/lanes/lanes.hpp"

#include "engines/lanes/group_run.hpp"
#include "engines/lanes/learning.hpp"

namespace FOMAML_FAST_NAMESPACE {

namespace lanes {
namespace {

const char* unsupported(const Problem& problem) {
  switch (problem.operation) {
    case Operation::vjp:
    case Operation::jvp:
    case Operation::vjp_tangent:
    case Operation::gnvp:
      return "products with the network's Jacobian";
    default:
      break;
  }
  const bool whole = Pieces(problem.support).whole() && Pieces(problem.query).whole();
  // Statistics over rows are taken of all of them at once, and of as many in every lane.
  if (problem.net.normalized(Norm::batch)) {
    if (!whole) return "batch normalisation of sets longer than 64 rows";
    if (problem.support.ragged || problem.query.ragged) return "batch normalisation of ragged sets";
  }
  // Only the fused steps know sets in pieces.
  return problem.is_plain() || whole ? nullptr : kInPieces;
}

/// Lane sums of each block's meta-gradients, then of those of the rates.
template <class T>
T* take_partials(const Problem& problem, const Plan& plan, Arena& arena) {
  return plan.meta ? arena.take<T>(plan.blocks * partial_size(problem, plan)) : nullptr;
}

/// What one worker has of its own.
template <class T>
std::size_t worker_bytes(const Problem& problem, const Plan& plan) {
  Arena arena;
  if (problem.is_plain()) {
    Workspace<T>(problem, plan, arena);
  } else {
    LearningBuffers<T>(problem, plan, arena);
  }
  return arena.used();
}

template <class T>
std::size_t workspace_bytes(const Problem& problem, int workers) {
  const Plan plan(problem, kLanes<T>);
  Arena arena;
  take_partials<T>(problem, plan, arena);
  Shared<T>::carve(problem, plan, {}, arena);
  return WorkerArenas(arena.used(), worker_bytes<T>(problem, plan)).bytes(workers);
}

/// One call: what every worker knows.
template <class T>
struct Run {
  const Problem& problem;
  const Plan& plan;
  const Call<T>& call;
  const Shared<T>& shared;
  T* partials;

  [[nodiscard]] Group group(Index i) const { return Group::of(i, problem.tasks, kLanes<T>); }

  /// Lanes of a block's total that count: only where a group alone makes it may some be empty.
  [[nodiscard]] Index lanes(Index first, Index last) const {
    return last - first == 1 ? group(first).count : kLanes<T>;
  }

  /// Calls body(first, last, partial) for this worker's blocks of groups, then adds them up.
  template <class Body>
  void sum_blocks(Team& team, Body&& body) const {
    const Index size = partial_size(problem, plan);
    team.share(plan.blocks, [&](Index block) {
      body(plan.groups * block / plan.blocks, plan.groups * (block + 1) / plan.blocks,
           partials + block * size);
    });
    team.barrier();
    constexpr Index kChunk = 512;
    team.share((size + kChunk - 1) / kChunk, [&](Index chunk) {
      const Index first = chunk * kChunk, end = std::min(size, first + kChunk);
      T sums[kChunk];
      for (Index i = first; i < end; ++i) {
        const auto of_block = [&](Index block) { return partials[block * size + i]; };
        sums[i - first] = sum_of<T>(plan.blocks, of_block, kBlockTerms) * call.grad_scale;
      }
      write(sums, first, std::min(end, plan.size), call.grad);
      if (end <= plan.size) return;
      const Index begin = std::max(first, plan.size);
      const T* const of_rates = sums + (begin - first);
      if (problem.algorithm.rates_per_parameter) {
        write(of_rates, begin - plan.size, end - plan.size, call.rate_grad);
      } else {
        std::copy_n(of_rates, end - begin, call.rate_grad + (begin - plan.size));
      }
    });
  }

  /// What is packed from `first` to before `last`, into the user's flat vector.
  void write(const T* packed, Index first, Index last, T* flat) const {
    for_each_run(plan, first, last, [&](Index from, Index to, Index count) {
      std::copy_n(packed + (from - first), count, flat + to);
    });
  }

  /// Adds up groups first … last - 1, by add(i, starts) in `total`; where the sum is. A group with
  /// empty lanes does not start a total: they would hold anything.
  template <class Add>
  static const Vec<T>* sum_groups(Team& team, Index first, Index last, Index size,
                                  const LongSum<Vec<T>>& totals, Vec<T>* total, const Add& add) {
    if (totals.sum == nullptr) {
      for (Index i = first; i < last && !team.stopped(); ++i) add(i, i == first);
      return total;
    }
    totals.begin(size);
    for (Index i = first, end = 0; i < last && !team.stopped(); i = end) {
      end = last - i < 2 * kBlockTerms ? last : i + kBlockTerms;
      for (Index j = i; j < end && !team.stopped(); ++j) add(j, j == i);
      totals.add(total, size);
    }
    return totals.sum;
  }

  void fused(Team& team, Arena& arena) const {
    const Workspace<T> work(problem, plan, arena);
    GroupRun<T> groups(problem, plan, call, shared, work);
    if (!plan.meta) return team.share(plan.groups, [&](Index i) { groups.run(group(i)); });
    sum_blocks(team, [&](Index first, Index last, T* partial) {
      // Reading every task's meta-gradient to see whether it is finite costs 2% of a step. The sum
      // tells as much; only if it is not finite is the block run again to find the tasks.
      for (const bool flag_vectors : {false, true}) {
        const Vec<T>* const sum = sum_groups(
            team, first, last, plan.size, work.totals, work.total,
            [&](Index i, bool starts) { groups.meta_gradient(group(i), starts, flag_vectors); });
        if (lane_sums<T>(sum, plan.size, lanes(first, last), partial)) break;
      }
    });
  }

  void general(Team& team, Arena& arena) const {
    const LearningBuffers<T> buffers(problem, plan, arena);
    Learning<T> groups(problem, plan, call, shared, buffers);
    if (!plan.meta) return team.share(plan.groups, [&](Index i) { groups.adapt(group(i)); });
    sum_blocks(team, [&](Index first, Index last, T* partial) {
      const Index size = partial_size(problem, plan);
      const Vec<T>* const sum =
          sum_groups(team, first, last, size, buffers.totals, buffers.total,
                     [&](Index i, bool starts) { groups.meta_gradient(group(i), starts); });
      lane_sums<T>(sum, size, lanes(first, last), partial);
    });
  }
};

template <class T>
Status run(const Problem& problem, const Call<T>& call, const Execution& execution,
           std::byte* memory) {
  const Plan plan(problem, kLanes<T>);
  Arena common(memory);
  T* const partials = take_partials<T>(problem, plan, common);
  const Shared<T> shared = Shared<T>::carve(problem, plan, call, common);
  const Run<T> body{problem, plan, call, shared, partials};
  const WorkerArenas arenas(common.used(), worker_bytes<T>(problem, plan));
  const bool finished = parallel::run(execution.workers, execution.interrupt, [&](Team& team) {
    Arena arena = arenas.of(team.worker(), memory);
    problem.is_plain() ? body.fused(team, arena) : body.general(team, arena);
  });
  return finished ? Status::ok : Status::interrupted;
}

}  // namespace
}  // namespace lanes

template <class T>
Engine<T> lanes_engine() {
  return {"lanes", &lanes::unsupported, &lanes::workspace_bytes<T>, &lanes::run<T>};
}

template Engine<float> lanes_engine<float>();
template Engine<double> lanes_engine<double>();

}  // namespace FOMAML_FAST_NAMESPACE
