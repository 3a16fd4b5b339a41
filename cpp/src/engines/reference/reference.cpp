#include "engines/reference/reference.hpp"

#include <algorithm>

#include "base/finite.hpp"
#include "engines/reference/task_objective.hpp"
#include "meta/flow.hpp"

namespace FOMAML_FAST_NAMESPACE {

namespace reference {
namespace {

// Partial sums of the meta-gradient: enough blocks for the threads of a desktop, few enough that
// adding them up costs nothing.
constexpr Index kMostBlocks = 16;

Index n_blocks(const Problem& problem) { return std::min(problem.tasks, kMostBlocks); }

int n_states(const Problem& problem) {
  return visit_inner(problem.algorithm.inner, []<class O>(O) { return O::kStates; });
}

/// One worker's buffers.
template <class T>
struct Workspace {
  Workspace(const Problem& problem, Arena& arena)
      : mlp(problem.net, problem.layout, std::max(problem.support.longest, problem.query.longest),
            second_order(problem), arena) {
    const Index P = problem.layout.n_params;
    result = arena.take<T>(P);
    const bool unrolls =
        problem.operation == Operation::adapt || problem.operation == Operation::meta_gradient;
    if (!unrolls) return;
    const Index steps = problem.algorithm.steps;
    tape.taped = second_order(problem);
    tape.n_params = P;
    const Index slots = tape.taped ? steps + 1 : 1;
    tape.thetas = arena.take<T>(slots * P);
    tape.gradients = arena.take<T>((tape.taped ? std::max<Index>(steps, 1) : 1) * P);
    tape.states = arena.take<T>(slots * n_states(problem) * P);
    if (second_order(problem)) {
      reverse.co_state = arena.take<T>(n_states(problem) * P);
      reverse.v = arena.take<T>(P);
      reverse.hv = arena.take<T>(P);
    }
  }
  static bool second_order(const Problem& problem) {
    return problem.operation == Operation::hvp || (problem.operation == Operation::meta_gradient &&
                                                   meta::needs_tape(problem.algorithm.flow));
  }

  Mlp<T> mlp;
  inner::Tape<T> tape;
  /// Gradients and products are formed here and copied out: Eigen's order of summation depends on
  /// the alignment of what it writes, which must not be the user's.
  T* result = nullptr;
  meta::ReverseBuffers<T> reverse;
};

template <class T>
class Run {
 public:
  Run(const Problem& problem, const Call<T>& call) : problem_(problem), call_(call) {}

  void operator()(Team& team, const Workspace<T>& work, T* partials) const {
    switch (problem_.operation) {
      case Operation::meta_gradient:
        visit_inner(problem_.algorithm.inner,
                    [&]<class O>(O) { meta_gradient<O>(team, work, partials); });
        return;
      case Operation::adapt:
        visit_inner(problem_.algorithm.inner, [&]<class O>(O) {
          team.share(problem_.tasks, [&](Index task) { adapt<O>(task, work); });
        });
        return;
      default:
        team.share(problem_.tasks, [&](Index task) { differentiate(task, work); });
    }
  }

 private:
  [[nodiscard]] const T* theta(Index task) const { return call_.theta + task * call_.theta_stride; }
  [[nodiscard]] Index n_params() const { return problem_.layout.n_params; }
  TaskObjective<T> support(const Workspace<T>& work, Index task) const {
    return {work.mlp, problem_.net, problem_.support.loss, call_.support, task};
  }
  TaskObjective<T> query(const Workspace<T>& work, Index task) const {
    return {work.mlp, problem_.net, problem_.query.loss, call_.query, task};
  }
  [[nodiscard]] auto rate() const {
    return [this](int step, int layer) { return call_.rate(step, layer, problem_.net.depth); };
  }
  void flag(Index task, bool finite) const {
    if (!finite) call_.diverged[task] = 1;
  }

  void differentiate(Index task, const Workspace<T>& work) const {
    const TaskObjective<T> rows = support(work, task);
    switch (problem_.operation) {
      case Operation::predict: {
        const Index count = call_.support.count(task), first = call_.support.first(task);
        const auto outputs =
            work.mlp.forward(theta(task), call_.support.x + first * problem_.net.inputs(), count);
        const Index place = call_.support.shared ? task * count : first;
        std::copy_n(outputs.data(), outputs.size(), call_.outputs + place * problem_.net.outputs());
        return;
      }
      case Operation::loss:
        call_.losses[task] = rows.value(theta(task));
        return;
      case Operation::gradient:
        call_.losses[task] = rows.value_and_gradient(theta(task), work.result);
        break;
      default:
        rows.hessian_vector(theta(task), call_.tangent + task * call_.tangent_stride, work.result);
    }
    std::copy_n(work.result, n_params(), call_.task_vectors + task * n_params());
  }

  template <class Optimizer>
  bool unroll(Index task, const Workspace<T>& work, T* trace, T* trace_query) const {
    const AlgorithmSpec& algorithm = problem_.algorithm;
    const TaskObjective<T> objective = support(work, task);
    std::copy_n(theta(task), n_params(), work.tape.theta(0));
    bool finite = true;
    const auto observe = [&](int k, T loss) {
      finite = finite && loss - loss == T(0);
      if (k == 0 && call_.support_losses != nullptr) call_.support_losses[task] = loss;
      if (trace != nullptr) trace[k] = loss;
      if (trace_query != nullptr) {
        trace_query[k] = query(work, task).value(work.tape.theta(k));
      }
      if (call_.trace_thetas != nullptr) {
        std::copy_n(work.tape.theta(k), n_params(),
                    call_.trace_thetas + (task * (algorithm.steps + 1) + k) * n_params());
      }
    };
    inner::unroll<Optimizer>(objective, problem_.layout, problem_.net.depth,
                             algorithm.inner_parameters, algorithm.steps, rate(), work.tape,
                             observe);
    const T* last = work.tape.theta(algorithm.steps);
    if (trace != nullptr || trace_query != nullptr || call_.trace_thetas != nullptr) {
      const bool so_far = finite;  // a loss after the last step is reported, not required
      observe(algorithm.steps, trace != nullptr ? objective.value(last) : T(0));
      finite = so_far;
    }
    return finite && all_finite(last, n_params());
  }

  template <class Optimizer>
  void adapt(Index task, const Workspace<T>& work) const {
    const Index stride = problem_.algorithm.steps + 1;
    T* trace = call_.trace_losses == nullptr ? nullptr : call_.trace_losses + task * stride;
    T* trace_query =
        call_.trace_query_losses == nullptr ? nullptr : call_.trace_query_losses + task * stride;
    flag(task, unroll<Optimizer>(task, work, trace, trace_query));
    if (call_.task_vectors != nullptr) {
      std::copy_n(work.tape.theta(problem_.algorithm.steps), n_params(),
                  call_.task_vectors + task * n_params());
    }
  }

  template <class Optimizer>
  void meta_gradient(Team& team, const Workspace<T>& work, T* partials) const {
    const Index blocks = n_blocks(problem_), P = n_params();
    team.share(blocks, [&](Index block) {
      T* partial = partials + block * P;
      std::fill_n(partial, P, T(0));
      const Index first = problem_.tasks * block / blocks;
      const Index last = problem_.tasks * (block + 1) / blocks;
      for (Index task = first; task < last && !team.stopped(); ++task) {
        add_task<Optimizer>(task, work, partial);
      }
    });
    team.barrier();
    constexpr Index kChunk = 1024;
    team.share((P + kChunk - 1) / kChunk, [&](Index chunk) {
      for (Index i = chunk * kChunk; i < std::min(P, (chunk + 1) * kChunk); ++i) {
        T sum = 0;
        for (Index block = 0; block < blocks; ++block) sum += partials[block * P + i];
        call_.grad[i] = sum * call_.grad_scale;
      }
    });
  }

  template <class Optimizer>
  void add_task(Index task, const Workspace<T>& work, T* partial) const {
    bool finite = unroll<Optimizer>(task, work, nullptr, nullptr);
    const T loss = meta::task_meta_gradient<Optimizer>(
        support(work, task), query(work, task), problem_.layout, problem_.net.depth,
        problem_.algorithm, rate(), work.tape, work.result, work.reverse);
    finite = finite && loss - loss == T(0) && all_finite(work.result, n_params());
    flag(task, finite);
    call_.losses[task] = loss;
    for (Index i = 0; i < n_params(); ++i) partial[i] += work.result[i];
    if (call_.task_vectors != nullptr) {
      std::copy_n(work.result, n_params(), call_.task_vectors + task * n_params());
    }
  }

  const Problem& problem_;
  const Call<T>& call_;
};

bool supports(const Problem&) { return true; }

template <class T>
T* take_partials(const Problem& problem, Arena& arena) {
  if (problem.operation != Operation::meta_gradient) return nullptr;
  return arena.take<T>(n_blocks(problem) * problem.layout.n_params);
}

template <class T>
std::size_t workspace_bytes(const Problem& problem, int workers) {
  Arena arena;
  take_partials<T>(problem, arena);
  for (int worker = 0; worker < workers; ++worker) Workspace<T>(problem, arena);
  return arena.used();
}

template <class T>
Status run(const Problem& problem, const Call<T>& call, const Execution& execution,
           std::byte* memory) {
  Arena shared(memory);
  T* partials = take_partials<T>(problem, shared);
  Arena one;
  Workspace<T>(problem, one);
  const Run<T> body(problem, call);
  const bool finished = parallel::run(execution.workers, execution.interrupt, [&](Team& team) {
    const std::size_t place = shared.used() + static_cast<std::size_t>(team.worker()) * one.used();
    Arena arena(memory + place);
    const Workspace<T> work(problem, arena);
    body(team, work, partials);
  });
  return finished ? Status::ok : Status::interrupted;
}

}  // namespace
}  // namespace reference

template <class T>
Engine<T> reference_engine() {
  return {"reference", &reference::supports, &reference::workspace_bytes<T>, &reference::run<T>};
}

template Engine<float> reference_engine<float>();
template Engine<double> reference_engine<double>();

}  // namespace FOMAML_FAST_NAMESPACE
