#include "engines/lanes/lanes.hpp"

#include "engines/lanes/cost.hpp"
#include "engines/lanes/general_path.hpp"
#include "engines/lanes/group_run.hpp"
#include "engines/lanes/head_path.hpp"

namespace FOMAML_FAST_NAMESPACE {

namespace lanes {
namespace {

const char* unsupported(const Problem& problem) {
  if (differentiates_inputs(problem.operation)) return kOverInputs;
  switch (problem.operation) {
    case Operation::vjp:
    case Operation::jvp:
    case Operation::vjp_tangent:
    case Operation::gnvp:
      return "products with the network's Jacobian";
    default:
      break;
  }
  const Index most = Shapes::most_rows(problem);
  const bool whole = Pieces(problem.support, most).whole() && Pieces(problem.query, most).whole();
  if (problem.algorithm.head.given() && !whole) return kManyRowsOfHeads;
  // Statistics over rows are taken of all of them at once, and of as many in every lane.
  if (problem.net.normalized(Norm::batch)) {
    if (!whole) return "batch normalisation of sets longer than 64 rows";
    if (problem.support.ragged || problem.query.ragged) return "batch normalisation of ragged sets";
  }
  // Only the fused steps know sets in pieces.
  return problem.is_vanilla_sgd() || whole ? nullptr : kInPieces;
}

/// Of groups, what their lanes hold being added up.
template <class T>
PartialSums<T> carve_sums(const Problem& problem, const Shapes& shapes, Arena& arena) {
  return PartialSums<T>::carve(problem, shapes.groups, shapes.size, rate_count(problem, shapes),
                               arena);
}

/// What all workers share.
template <class T>
struct Shared {
  PartialSums<T> sums;
  CallBuffers<T> call;
  std::optional<HeadNumbers<T>> head;

  Shared(const Problem& problem, const Shapes& shapes, const Call<T>& given, Arena& arena)
      : sums(carve_sums<T>(problem, shapes, arena)),
        call(CallBuffers<T>::carve(problem, shapes, given, arena)) {
    if (problem.algorithm.head.given()) head.emplace(problem, given.rates, arena);
  }
};

/// What one worker has of its own.
template <class T>
std::size_t worker_bytes(const Problem& problem, const Shapes& shapes, const Shared<T>& shared) {
  const PartialSums<T>& sums = shared.sums;
  Arena arena;
  if (shared.head) {
    HeadBuffers<T>(problem, shapes, *shared.head, sums, arena);
  } else if (problem.is_vanilla_sgd()) {
    Workspace<T>(problem, shapes, arena);
  } else {
    GeneralPathBuffers<T>(problem, shapes, sums, arena);
  }
  return arena.used();
}

template <class T>
std::size_t workspace_bytes(const Problem& problem, int workers) {
  const Shapes shapes(problem, kLanes<T>);
  Arena arena;
  const Shared<T> shared(problem, shapes, {}, arena);
  return WorkerArenas(arena.used(), worker_bytes<T>(problem, shapes, shared)).bytes(workers);
}

/// One call: what every worker knows.
template <class T>
struct Run {
  const Problem& problem;
  const Shapes& shapes;
  const Call<T>& call;
  const Shared<T>& shared;
  const PartialSums<T>& sums = shared.sums;

  [[nodiscard]] Group group(Index i) const { return Group::of(i, problem.tasks, kLanes<T>); }

  /// Lanes of a block's total that count: only where a group alone makes it may some be empty.
  [[nodiscard]] Index lanes(Index first, Index last) const {
    return last - first == 1 ? group(first).count : kLanes<T>;
  }

  /// Calls body(first, last, partial) for this worker's blocks of groups, then adds them up.
  template <class Body>
  void sum_blocks(Team& team, Body&& body) const {
    team.share(sums.blocks, [&](Index block) {
      body(shapes.groups * block / sums.blocks, shapes.groups * (block + 1) / sums.blocks,
           sums.of_block(block));
    });
    sums.reduce(team, call.grad_scale, [&](const T* part, Index first, Index end) {
      write(part, first, std::min(end, shapes.size), call.grad);
      if (end <= shapes.size) return;
      const Index begin = std::max(first, shapes.size);
      const T* const of_rates = part + (begin - first);
      if (problem.algorithm.rates_per_parameter) {
        write(of_rates, begin - shapes.size, end - shapes.size, call.rate_grad);
      } else {
        std::copy_n(of_rates, end - begin, call.rate_grad + (begin - shapes.size));
      }
    });
  }

  /// What is packed from `first` to before `last`, into the user's flat vector.
  void write(const T* packed, Index first, Index last, T* flat) const {
    for_each_run(shapes, first, last, [&](Index from, Index to, Index count) {
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
    const Workspace<T> work(problem, shapes, arena);
    GroupRun<T> groups(problem, shapes, call, shared.call, work);
    if (!shapes.meta) return team.share(shapes.groups, [&](Index i) { groups.run(group(i)); });
    sum_blocks(team, [&](Index first, Index last, T* partial) {
      // Reading every task's meta-gradient to see whether it is finite costs 2% of a step. The sum
      // tells as much; only if it is not finite is the block run again to find the tasks.
      for (const bool flag_vectors : {false, true}) {
        const Vec<T>* const sum = sum_groups(
            team, first, last, shapes.size, work.totals, work.total,
            [&](Index i, bool starts) { groups.meta_gradient(group(i), starts, flag_vectors); });
        if (lane_sums<T>(sum, shapes.size, lanes(first, last), partial)) break;
      }
    });
  }

  void general(Team& team, Arena& arena) const {
    const GeneralPathBuffers<T> buffers(problem, shapes, sums, arena);
    GeneralPath<T> groups(problem, shapes, call, shared.call, buffers);
    along(team, groups, buffers);
  }

  void closed_form(Team& team, Arena& arena) const {
    HeadBuffers<T> buffers(problem, shapes, *shared.head, sums, arena);
    HeadPath<T> groups(problem, shapes, call, shared.call, *shared.head, buffers);
    along(team, groups, buffers);
  }

  void operator()(Team& team, Arena& arena) const {
    if (shared.head) return closed_form(team, arena);
    problem.is_vanilla_sgd() ? fused(team, arena) : general(team, arena);
  }

 private:
  /// By a path that knows one group.
  template <class Path, class Buffers>
  void along(Team& team, Path& groups, const Buffers& buffers) const {
    if (!shapes.meta) return team.share(shapes.groups, [&](Index i) { groups.adapt(group(i)); });
    sum_blocks(team, [&](Index first, Index last, T* partial) {
      const Vec<T>* const sum =
          sum_groups(team, first, last, sums.size, buffers.totals, buffers.total,
                     [&](Index i, bool starts) { groups.meta_gradient(group(i), starts); });
      lane_sums<T>(sum, sums.size, lanes(first, last), partial);
    });
  }
};

template <class T>
Status run(const Problem& problem, const Call<T>& call, const Execution& execution,
           std::byte* memory) {
  const Shapes shapes(problem, kLanes<T>);
  Arena common(memory);
  const Shared<T> shared(problem, shapes, call, common);
  const Run<T> body{problem, shapes, call, shared};
  const WorkerArenas arenas(common.used(), worker_bytes<T>(problem, shapes, shared));
  const int workers = static_cast<int>(std::min<Index>(execution.workers, shapes.groups));
  const bool finished = parallel::run(workers, execution.interrupt, [&](Team& team) {
    const Watch::Region watched(team);
    Arena arena = arenas.of(team.worker(), memory);
    body(team, arena);
  });
  return finished ? Status::ok : Status::interrupted;
}

}  // namespace
}  // namespace lanes

template <class T>
Engine<T> lanes_engine() {
  return {"lanes",      &lanes::unsupported,        &lanes::cost<T>,
          &lanes::work, &lanes::workspace_bytes<T>, &lanes::run<T>};
}

template Engine<float> lanes_engine<float>();
template Engine<double> lanes_engine<double>();

}  // namespace FOMAML_FAST_NAMESPACE
