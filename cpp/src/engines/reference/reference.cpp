#include "engines/reference/reference.hpp"

#include <algorithm>

#include "engines/reference/learning.hpp"

namespace FOMAML_FAST_NAMESPACE {

namespace reference {
namespace {

/// Numbers in a partial sum: the meta-gradient, then that of the rates.
Index partial_size(const Problem& problem) {
  return problem.layout.n_params + (problem.algorithm.learns_rates ? problem.n_rates() : 0);
}

/// One worker's buffers.
template <class T>
struct Workspace {
  Workspace(const Problem& problem, Arena& arena)
      : mlp(problem.net, problem.layout, std::max(problem.support.longest, problem.query.longest),
            second_order(problem), arena, problem.algorithm.context) {
    if (problem.operation == Operation::adapt || problem.operation == Operation::meta_gradient) {
      learning = LearningBuffers<T>::carve(problem, arena);
    } else {
      result = arena.take<T>(problem.layout.n_params + problem.algorithm.context);
    }
  }
  static bool second_order(const Problem& problem) {
    switch (problem.operation) {
      case Operation::hvp:
      case Operation::jvp:
      case Operation::vjp_tangent:
      case Operation::gnvp:
        return true;
      default:
        return LearningBuffers<T>::second_order(problem);
    }
  }

  Mlp<T> mlp;
  LearningBuffers<T> learning;
  /// Gradients and products are formed here and copied out: Eigen's order of summation depends on
  /// the alignment of what it writes, which must not be the user's.
  T* result = nullptr;
};

template <class T>
class Run {
 public:
  Run(const Problem& problem, const Call<T>& call) : problem_(problem), call_(call) {}

  void operator()(Team& team, const Workspace<T>& work, T* partials) const {
    switch (problem_.operation) {
      case Operation::meta_gradient:
        return meta_gradient(team, work, partials);
      case Operation::adapt: {
        const Learning<T> learning(problem_, call_, work.mlp, work.learning);
        return team.share(problem_.tasks, [&](Index task) { learning.adapt(task); });
      }
      default:
        return team.share(problem_.tasks, [&](Index task) { differentiate(task, work); });
    }
  }

 private:
  [[nodiscard]] const T* theta(Index task) const { return call_.theta + task * call_.theta_stride; }
  [[nodiscard]] Index n_params() const { return problem_.layout.n_params; }

  void differentiate(Index task, const Workspace<T>& work) const {
    const TaskObjective<T> rows(work.mlp, problem_.support.loss, call_.support, task);
    const Mlp<T>& mlp = work.mlp;
    const Index count = call_.support.count(task), first = call_.support.first(task);
    const T* x = call_.support.x + first * mlp.columns();
    // Where the task's outputs, and their cotangents, stand.
    const Index place = (call_.support.shared ? task * count : first) * problem_.net.outputs();
    const T* v = call_.tangent + task * call_.tangent_stride;
    switch (problem_.operation) {
      case Operation::predict: {
        const auto outputs = mlp.forward(theta(task), x, count);
        std::copy_n(outputs.data(), outputs.size(), call_.outputs + place);
        return;
      }
      case Operation::jvp: {
        mlp.forward(theta(task), x, count);
        const auto tangents = mlp.push_forward(theta(task), x, count, v);
        std::copy_n(tangents.data(), tangents.size(), call_.outputs + place);
        return;
      }
      case Operation::vjp:
        mlp.forward(theta(task), x, count);
        mlp.set_delta(call_.cotangents + place, count);
        mlp.backward(theta(task), x, count, work.result);
        break;
      case Operation::vjp_tangent:
        mlp.forward(theta(task), x, count);
        mlp.pull_back_tangent(theta(task), x, count, call_.cotangents + place,
                              call_.cotangent_tangents + place, v, work.result);
        break;
      case Operation::gnvp:
        mlp.forward(theta(task), x, count);
        mlp.gauss_newton_vector(theta(task), problem_.support.loss, call_.support, task, v,
                                work.result);
        break;
      case Operation::loss:
        call_.losses[task] = rows.value(theta(task));
        return;
      case Operation::gradient:
        call_.losses[task] = rows.value_and_gradient(theta(task), work.result);
        break;
      default:
        rows.hessian_vector(theta(task), v, work.result);
    }
    std::copy_n(work.result, n_params(), call_.task_vectors + task * n_params());
  }

  void meta_gradient(Team& team, const Workspace<T>& work, T* partials) const {
    const Learning<T> learning(problem_, call_, work.mlp, work.learning);
    const Index blocks = problem_.partial_sums(problem_.tasks), size = partial_size(problem_);
    team.share(blocks, [&](Index block) {
      T* partial = partials + 2 * block * size;
      std::fill_n(partial, 2 * size, T(0));
      const Index first = problem_.tasks * block / blocks;
      const Index last = problem_.tasks * (block + 1) / blocks;
      for (Index task = first; task < last && !team.stopped(); ++task) {
        learning.add_meta_gradient(task, partial, partial + size);
      }
    });
    team.barrier();
    constexpr Index kChunk = 1024;
    team.share((size + kChunk - 1) / kChunk, [&](Index chunk) {
      for (Index i = chunk * kChunk; i < std::min(size, (chunk + 1) * kChunk); ++i) {
        CompensatedSum<T> total;
        for (Index block = 0; block < blocks; ++block) total.add(partials[2 * block * size + i]);
        const T sum = total.value();
        (i < n_params() ? call_.grad[i] : call_.rate_grad[i - n_params()]) = sum * call_.grad_scale;
      }
    });
  }

  const Problem& problem_;
  const Call<T>& call_;
};

const char* unsupported(const Problem&) { return nullptr; }

template <class T>
T* take_partials(const Problem& problem, Arena& arena) {
  if (problem.operation != Operation::meta_gradient) return nullptr;
  // With every partial sum what adding it up has lost.
  return arena.take<T>(2 * problem.partial_sums(problem.tasks) * partial_size(problem));
}

template <class T>
std::size_t workspace_bytes(const Problem& problem, int workers) {
  Arena arena;
  take_partials<T>(problem, arena);
  Arena one;
  Workspace<T>(problem, one);
  return WorkerArenas(arena.used(), one.used()).bytes(workers);
}

template <class T>
Status run(const Problem& problem, const Call<T>& call, const Execution& execution,
           std::byte* memory) {
  Arena shared(memory);
  T* partials = take_partials<T>(problem, shared);
  Arena one;
  Workspace<T>(problem, one);
  const WorkerArenas arenas(shared.used(), one.used());
  const Run<T> body(problem, call);
  const bool finished = parallel::run(execution.workers, execution.interrupt, [&](Team& team) {
    Arena arena = arenas.of(team.worker(), memory);
    const Workspace<T> work(problem, arena);
    body(team, work, partials);
  });
  return finished ? Status::ok : Status::interrupted;
}

}  // namespace
}  // namespace reference

template <class T>
Engine<T> reference_engine() {
  return {"reference", &reference::unsupported, &reference::workspace_bytes<T>, &reference::run<T>};
}

template Engine<float> reference_engine<float>();
template Engine<double> reference_engine<double>();

}  // namespace FOMAML_FAST_NAMESPACE
