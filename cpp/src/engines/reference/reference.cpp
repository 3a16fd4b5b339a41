#include "engines/reference/reference.hpp"

#include <algorithm>
#include <optional>

#include "engines/cost.hpp"
#include "engines/partial_sums.hpp"
#include "engines/reference/general_path.hpp"
#include "engines/reference/head_path.hpp"
#include "engines/reference/jet_products.hpp"
#include "engines/work.hpp"

namespace FOMAML_FAST_NAMESPACE {

namespace reference {
namespace {

/// One worker's buffers.
template <class T>
struct Workspace {
  Workspace(const Problem& problem, Arena& arena)
      : mlp(problem.net, problem.layout, rows(problem), second_order(problem), arena,
            problem.algorithm.context) {
    if (is_of_jets(problem.operation)) {
      jets.emplace(problem, arena);
    } else if (problem.algorithm.head.given()) {
      head.emplace(problem, arena);
    } else if (problem.operation == Operation::adapt ||
               problem.operation == Operation::meta_gradient) {
      path = GeneralPathBuffers<T>::carve(problem, arena);
    } else {
      result = arena.take<T>(problem.layout.n_params + problem.algorithm.context);
    }
  }
  /// That the network itself is computed at; of jets none.
  static Index rows(const Problem& problem) {
    if (is_of_jets(problem.operation)) return 0;
    return std::max(problem.support.longest, problem.query.longest);
  }
  static bool second_order(const Problem& problem) {
    switch (problem.operation) {
      case Operation::hvp:
      case Operation::jvp:
      case Operation::vjp_tangent:
      case Operation::gnvp:
      case Operation::input_jvp:
        return true;
      default:
        return problem.takes_hessians();
    }
  }

  Mlp<T> mlp;
  std::optional<JetProducts<T>> jets;
  std::optional<HeadBuffers<T>> head;
  GeneralPathBuffers<T> path;
  /// Gradients and products are formed here and copied out: Eigen's order of summation depends on
  /// the alignment of what it writes, which must not be the user's.
  T* result = nullptr;
};

template <class T>
class Run {
 public:
  Run(const Problem& problem, const Call<T>& call) : problem_(problem), call_(call) {}

  void operator()(Team& team, Workspace<T>& work, const PartialSums<T>& sums) const {
    switch (problem_.operation) {
      case Operation::meta_gradient:
        return meta_gradient(team, work, sums);
      case Operation::adapt:
        return with_path(work, [&](const auto& path) {
          team.share(problem_.tasks, [&](Index task) { path.adapt(task); });
        });
      case Operation::jet:
      case Operation::jet_vjp:
      case Operation::jet_jvp:
      case Operation::jet_vjp_tangent:
        return team.share(problem_.tasks, [&](Index task) { work.jets->run(call_, task); });
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
    const Index task_row = call_.support.shared ? task * count : first;
    const Index place = task_row * problem_.net.outputs();
    const T* v = call_.tangent + task * call_.tangent_stride;
    switch (problem_.operation) {
      case Operation::predict: {
        const auto outputs = mlp.forward(theta(task), x, count);
        std::copy_n(outputs.data(), outputs.size(), call_.outputs + place);
        return;
      }
      case Operation::input_vjp: {
        mlp.forward(theta(task), x, count);
        mlp.set_delta(call_.cotangents + place, count);
        const auto gradient = mlp.backward_to_inputs(theta(task), count);
        std::copy_n(gradient.data(), gradient.size(), call_.outputs + task_row * mlp.columns());
        return;
      }
      case Operation::input_jvp: {
        mlp.forward(theta(task), x, count);
        const T* const rx = call_.input_tangents + task_row * mlp.columns();
        const auto tangents = mlp.push_forward_inputs(theta(task), rx, count);
        std::copy_n(tangents.data(), tangents.size(), call_.outputs + place);
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

  /// How tasks adapt: by steps, or in closed form.
  template <class Body>
  void with_path(Workspace<T>& work, Body&& body) const {
    if (work.head) return body(HeadPath<T>(problem_, call_, work.mlp, *work.head));
    body(GeneralPath<T>(problem_, call_, work.mlp, work.path));
  }

  void meta_gradient(Team& team, Workspace<T>& work, const PartialSums<T>& sums) const {
    with_path(work, [&](const auto& path) {
      team.share(sums.blocks, [&](Index block) {
        sums.clear(block);
        const Index first = problem_.tasks * block / sums.blocks;
        const Index last = problem_.tasks * (block + 1) / sums.blocks;
        for (Index task = first; task < last && !team.stopped(); ++task) {
          path.add_meta_gradient(task, sums.of_block(block), sums.errors_of(block));
        }
      });
    });
    sums.reduce(team, call_.grad_scale, [&](const T* part, Index first, Index end) {
      const Index params = std::clamp(n_params() - first, Index{0}, end - first);
      std::copy_n(part, params, call_.grad + first);
      if (first + params == end) return;
      std::copy(part + params, part + (end - first),
                call_.rate_grad + (first + params - n_params()));
    });
  }

  const Problem& problem_;
  const Call<T>& call_;
};

const char* unsupported(const Problem&) { return nullptr; }

double cost(const Problem&) { return kReferenceCost; }

Work work(const Problem& problem, Index /*lanes*/) {
  return {operations(problem, PassCosts::padded(problem.net, 1))};
}

template <class T>
PartialSums<T> carve_sums(const Problem& problem, Arena& arena) {
  return PartialSums<T>::carve(problem, problem.tasks, problem.layout.n_params, problem.n_rates(),
                               arena, true);
}

template <class T>
std::size_t workspace_bytes(const Problem& problem, int workers) {
  Arena arena;
  carve_sums<T>(problem, arena);
  Arena one;
  Workspace<T>(problem, one);
  return WorkerArenas(arena.used(), one.used()).bytes(workers);
}

template <class T>
Status run(const Problem& problem, const Call<T>& call, const Execution& execution,
           std::byte* memory) {
  Arena shared(memory);
  const auto sums = carve_sums<T>(problem, shared);
  Arena one;
  Workspace<T>(problem, one);
  const WorkerArenas arenas(shared.used(), one.used());
  const Run<T> body(problem, call);
  const int workers = static_cast<int>(std::min<Index>(execution.workers, problem.tasks));
  const bool finished = parallel::run(workers, execution.interrupt, [&](Team& team) {
    const Watch::Region watched(team);
    Arena arena = arenas.of(team.worker(), memory);
    Workspace<T> work(problem, arena);
    body(team, work, sums);
  });
  return finished ? Status::ok : Status::interrupted;
}

}  // namespace
}  // namespace reference

template <class T>
Engine<T> reference_engine() {
  return {"reference",      &reference::unsupported,        &reference::cost,
          &reference::work, &reference::workspace_bytes<T>, &reference::run<T>};
}

template Engine<float> reference_engine<float>();
template Engine<double> reference_engine<double>();

}  // namespace FOMAML_FAST_NAMESPACE
