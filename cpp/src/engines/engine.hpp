// The engine contract: everything the library computes, over many tasks at once.
//
// An engine says which problems it does not support, what one costs and how much workspace it
// takes, and runs it. It owns its parallel structure, under one rule: blocks and the order of sums
// are a function of the Problem alone, never of the number of workers, so that results are the same
// bits for any number of them. Engines check nothing and allocate nothing: api/ has validated the
// call and holds the workspace.
#pragma once

#include <algorithm>

#include "base/arena.hpp"
#include "base/parallel.hpp"
#include "base/status.hpp"
#include "base/watch.hpp"
#include "kernels/compensated.hpp"
#include "meta/algorithm.hpp"
#include "network/jet.hpp"
#include "network/layout.hpp"
#include "network/rows.hpp"

namespace FOMAML_FAST_NAMESPACE {

enum class Operation : std::uint8_t {
  predict,      ///< outputs of every row
  loss,         ///< loss of every task
  gradient,     ///< loss and gradient of every task
  hvp,          ///< (Hessian of the loss) . tangent of every task
  vjp,          ///< J'c: cotangents c of the outputs pulled back to the parameters
  jvp,          ///< Jv: the tangent of the parameters pushed forward to the outputs
  vjp_tangent,  ///< J'c' + (dJ/dtheta . v)'c: the derivative of J'c where c has the tangent c'
  gnvp,         ///< J' (Hessian of the loss on the outputs) J v
  input_vjp,    ///< cotangents of the outputs pulled back to the inputs
  input_jvp,    ///< tangents of the inputs pushed forward to the outputs
  // Of the outputs with their derivatives along directions of the inputs, which these call jets:
  jet,              ///< the jets of every row
  jet_vjp,          ///< as vjp, where J is the Jacobian of the jets over the parameters
  jet_jvp,          ///< as jvp
  jet_vjp_tangent,  ///< as vjp_tangent
  adapt,            ///< theta_S of every task
  meta_gradient,    ///< query losses after adaptation and their reduced gradient
};

/// Whether an operation differentiates over the inputs.
constexpr bool differentiates_inputs(Operation operation) {
  return operation >= Operation::input_vjp && operation <= Operation::jet_vjp_tangent;
}
constexpr bool is_of_jets(Operation operation) {
  return operation >= Operation::jet && operation <= Operation::jet_vjp_tangent;
}
inline constexpr const char* kOverInputs = "derivatives over the inputs";
inline constexpr const char* kClosedForm = "a head in closed form";

/// All that may decide an engine, its blocks and its workspace.
struct Problem {
  Operation operation = Operation::predict;
  NetworkSpec net{};
  Layout layout{NetworkSpec{}};
  AlgorithmSpec algorithm{};  ///< adapt, meta_gradient
  Index tasks = 0;
  RowShape support{};  ///< for predict … gnvp: the rows
  RowShape query{};    ///< meta_gradient; adapt when query losses are traced
  JetShape jet{};      ///< of operations on jets
  bool theta_per_task = false;
  bool wants_task_gradients = false;  ///< meta_gradient: `task_vectors` too
  bool wants_trace = false;           ///< adapt: any of the trace results
  Index trace_points = 0;             ///< steps that a trace writes thetas and query losses of
  bool weighs_tasks = false;          ///< meta_gradient: tasks count differently
  Index rate_rows = 1;                ///< of the table of rates, if there is one

  /// Whether the fused kernels compute it: plain gradient descent with one loss at its end.
  [[nodiscard]] bool is_vanilla_sgd() const {
    return algorithm.is_vanilla_sgd(net.depth) && !wants_trace && !weighs_tasks;
  }
  /// The lowest layer that inner steps run again: below, nothing changes unless the rows do.
  [[nodiscard]] int first_moving() const {
    return support.stepped ? 0 : algorithm.first_adapted(net.depth);
  }
  /// Whether products with the support Hessian are taken, on the way back or to solve.
  [[nodiscard]] bool takes_hessians() const {
    return operation == Operation::meta_gradient && !algorithm.head.given() &&
           (algorithm.flow == Flow::implicit ||
            (algorithm.flow == Flow::exact && algorithm.steps > 0));
  }
  /// Rates, and numbers in their gradient.
  [[nodiscard]] Index n_rates() const {
    if (algorithm.head.given()) return algorithm.head.n_numbers(net.features(), net.outputs());
    return algorithm.rates_per_parameter ? layout.n_params : rate_rows * net.depth;
  }
  /// About the operations of a gradient over so many rows, for the watch of long loops: most work
  /// on small networks is not in their products.
  [[nodiscard]] Index gradient_work(Index rows) const {
    constexpr Index kAround = 2000, kOfEachRow = 50;
    return kAround + rows * (kOfEachRow + 6 * layout.n_params);
  }
  /// The same of a step of one task.
  [[nodiscard]] Index step_work() const {
    return gradient_work(std::max(support.longest, query.longest));
  }
  /// Numbers in what a task adapts, as `adapt` returns it.
  [[nodiscard]] Index n_adapted() const {
    return algorithm.context > 0 ? algorithm.context : layout.n_params;
  }
  /// Into how many blocks `units` tasks, or groups of tasks, are cut, each with its own partial sum
  /// of a meta-gradient: enough for the threads of a desktop, or of a server where there is work
  /// for them; few enough that adding them up costs nothing and that they take little memory.
  [[nodiscard]] Index partial_sums(Index units) const {
    constexpr Index kLeast = 16, kMost = 128, kNumbers = Index{1} << 22;
    const Index fit = std::clamp(kNumbers / std::max<Index>(1, layout.n_params), kLeast, kMost);
    return std::min(units, std::clamp(units / 16, kLeast, fit));
  }
  /// Whether a partial sum is of so many that what adding them loses is kept beside it.
  [[nodiscard]] bool has_long_partial_sums(Index units) const {
    return units > 2 * kBlockTerms * partial_sums(units);
  }
};

/// What the conjugate gradients of every task came to, each [tasks].
template <class T>
struct SolverReport {
  T* residuals = nullptr;  ///< relative to the query gradient
  std::int32_t* iterations = nullptr;
  std::uint8_t* indefinite = nullptr;  ///< 1 where a direction of no positive curvature ended them
};

/// Where a step's rates are multiplied in: deltas by `deltas`, which is minus the rate of all
/// layers if `rates` is null; else `deltas` is 1, and what is summed of them is scaled by minus
/// `rates`, one a layer.
template <class T>
struct StepScale {
  T deltas;
  const T* rates;
};

/// The arrays of one call. Operands are never written; results never overlap operands.
template <class T>
struct Call {
  const T* theta = nullptr;  ///< [P], or [tasks, P] with stride P
  Index theta_stride = 0;    ///< P or 0
  RowSet<T> support{};
  RowSet<T> query{};
  const T* tangent = nullptr;  ///< hvp, jvp, vjp_tangent, gnvp, and those of jets: [P], [tasks, P]
  Index tangent_stride = 0;
  const T* cotangents = nullptr;          ///< vjp, vjp_tangent, input_vjp: c, placed as `outputs`
  const T* cotangent_tangents = nullptr;  ///< vjp_tangent: c', placed as `outputs`
  const T* input_tangents = nullptr;      ///< input_jvp: [rows of all tasks, n_0]
  const T* directions = nullptr;          ///< of jets: [directions, n_0]
  /// Inner rates: [rate_steps, depth], of step min(k, rate_steps - 1) and layer l; or [P]. Of a
  /// head in closed form what inner/head.hpp lists.
  const T* rates = nullptr;
  Index rate_steps = 1;
  const T* step_weights = nullptr;  ///< [steps], of the query losses after every step
  const T* task_weights = nullptr;  ///< [tasks], may be null
  T grad_scale = 1;                 ///< meta_gradient: 1 / tasks for the mean, 1 for the sum

  /// predict, jvp, input_jvp: [rows of all tasks, n_L] (shared rows: [tasks * rows]); input_vjp:
  /// [the same, n_0]; of jets: [the same, streams, n_L], as their cotangents are.
  T* outputs = nullptr;
  T* deviations = nullptr;      ///< adapt of a head in closed form: of the query, placed as
                                ///< `outputs`, which are then written too
  T* losses = nullptr;          ///< [tasks]: loss; meta_gradient: query loss at theta_S
  T* support_losses = nullptr;  ///< [tasks], meta_gradient: support loss at theta_0; null if S = 0
  T* task_vectors = nullptr;    ///< [tasks, P]: gradients, products, theta_S, meta-gradients
  T* grad = nullptr;            ///< [P]: the reduced meta-gradient
  T* rate_grad = nullptr;       ///< the same over the rates, in their shape
  SolverReport<T> solver{};     ///< implicit flow

  // adapt, each may be null. Theta_k is what adapts, as `adapt` returns it, k = 0 … S.
  const int* trace_points = nullptr;        ///< ascending steps k, as many as the problem says
  T* trace_thetas = nullptr;                ///< [tasks, points, adapted]: theta_k of these steps
  T* trace_query_losses = nullptr;          ///< [tasks, points]
  T* trace_losses = nullptr;                ///< [tasks, S + 1]: the support loss at every theta_k
  std::int32_t* first_bad_loss = nullptr;   ///< [tasks]: the first k whose support loss is not
                                            ///< finite; S + 1 where there is none
  std::int32_t* first_bad_theta = nullptr;  ///< the same of theta_k
  T* last_finite = nullptr;                 ///< [tasks, adapted]: the last theta_k that is finite

  std::uint8_t* diverged =
      nullptr;  ///< [tasks]: 1 where a loss, theta_S or the meta-gradient is not finite

  /// Of every layer in a step.
  [[nodiscard]] const T* step_rates(int step, int depth) const {
    const Index row = step < rate_steps ? step : rate_steps - 1;
    return rates + row * depth;
  }
  /// Where all layers have the same rate in a step, deltas that are scaled by it once make every
  /// gradient the step itself.
  [[nodiscard]] StepScale<T> step_scale(int step, int depth) const {
    const T* const all = step_rates(step, depth);
    const bool common = std::all_of(all, all + depth, [all](T rate) { return rate == all[0]; });
    return common ? StepScale<T>{-all[0], nullptr} : StepScale<T>{1, all};
  }
};

/// How a call runs; no result depends on it.
struct Execution {
  int workers = 1;     ///< most threads to use
  bool exact = false;  ///< use them even where waking them costs more than they save
  Interrupt interrupt{};
};

/// Whether a product of a call's only task is worth several threads: Rows then shares it. Each
/// fetches matrices that another has written; the shortest dimension says how often it uses them.
constexpr bool is_worth_sharing(Index rows, Index columns, Index depth) {
  return std::min({rows, columns, depth}) >= 32 && 2 * rows * columns * depth >= 8'000'000;
}

/// What an engine executes of the matrix products of a problem.
struct Work {
  double operations = 0;  ///< multiplications and additions
  bool dual = false;      ///< no step forms the adapted first layer (docs/performance.md)
};

template <class T>
struct Engine {
  const char* name;
  /// Why it does not compute that problem, in words; null where it does.
  const char* (*unsupported)(const Problem& problem);
  /// Estimated time of a problem, relative to the other engines': a function of its shape alone.
  double (*cost)(const Problem& problem);
  /// With vectors of so many numbers, padding and short cuts included: for reports.
  Work (*work)(const Problem& problem, Index lanes);
  std::size_t (*workspace_bytes)(const Problem& problem, int workers);
  /// ok, or interrupted (results are then unspecified). Tasks that met something not finite are
  /// flagged in `diverged`, which the caller zeroed; their results are written all the same.
  Status (*run)(const Problem& problem, const Call<T>& call, const Execution& execution,
                std::byte* workspace);
  /// Whether a call of one task uses several workers, for products that `is_worth_sharing`.
  bool shares_products = false;
};

}  // namespace FOMAML_FAST_NAMESPACE
