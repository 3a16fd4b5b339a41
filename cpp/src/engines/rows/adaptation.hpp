// One worker's inner loop: gradient descent on the support rows of one task after another.
#pragma once

#include "engines/rows/dual.hpp"
#include "engines/rows/elementwise.hpp"
#include "engines/rows/packing.hpp"
#include "engines/rows/pass.hpp"
#include "engines/rows/row_loss.hpp"

namespace FOMAML_FAST_NAMESPACE::rows {

template <class T>
class Adaptation {
 public:
  /// `taped` keeps every step, for the exact meta-gradient.
  Adaptation(const Problem& problem, const Shapes<T>& shapes, bool taped, Arena& arena)
      : steps_(problem.algorithm.steps),
        taped_(taped),
        passes_(Pass<T>::carve(shapes, problem.support.longest,
                               taped ? Keep::second_order : Keep::deltas, arena,
                               thetas(steps_, taped))),
        target_packs_(
            TargetPacks<T>::carve(problem.support, problem.support.longest, shapes.outputs, arena)),
        scratch_(LossScratch<T>::carve(shapes.outputs, arena)),
        dual_(DualLayer<T>::carve(problem, shapes, taped, arena)) {
    adapted_.values = arena.take<T>(thetas(steps_, taped) * shapes.adapted_parameters);
    adapted_.transposes = arena.take<T>(thetas(steps_, taped) * shapes.packed_transposes);
    if (problem.theta_per_task) own_ = Weights<T>::carve(shapes, arena);
    scaled_ = arena.take<T>(problem.support.longest * shapes.widest);
  }

  /// theta_k of the task that ran last; without a tape only the start and the end are known.
  [[nodiscard]] Weights<T> theta(const Shapes<T>& shapes, int k) const {
    if (k == 0) return start_;
    const Index place = taped_ ? k - 1 : 0;
    return {adapted_.values + place * shapes.adapted_parameters,
            adapted_.transposes + place * shapes.packed_transposes};
  }
  [[nodiscard]] Pass<T> pass(int k) const { return passes_.copy(taped_ ? k : 0); }
  /// Support rows of a task at step k, whose `targets` are from here on.
  RowRange<T> support(const Problem& problem, const Call<T>& call, Index task, int k) {
    const RowSet<T> set = call.support.at_step(k);
    const RowRange<T> rows = RowRange<T>::of(set, task, problem.net.inputs());
    targets_ = target_packs_.gather(problem.support, set, task, 0, rows.count);
    return rows;
  }
  [[nodiscard]] const Targeted<T>& targets() const { return targets_; }
  [[nodiscard]] const LossScratch<T>& loss_scratch() const { return scratch_; }
  /// The first layer, where the shapes has it dual: `theta` then lacks its weights.
  [[nodiscard]] DualLayer<T>& dual() { return dual_; }

  /// Runs all steps from the packed `shared` theta, or from the task's own. False if a loss or
  /// theta_S is not finite. `transposes_too`: theta_S will be differentiated.
  bool run(const Problem& problem, const Call<T>& call, const Shapes<T>& shapes,
           const Weights<T>& shared, Index task, bool transposes_too) {
    start_ = shared;
    if (problem.theta_per_task) {
      pack(shapes, call.theta + task * call.theta_stride, own_);
      start_ = own_;
    }
    RowRange<T> rows = support(problem, call, task, 0);
    const int first = shapes.dual ? 1 : 0;
    if (shapes.dual) dual_.begin(shapes, start_, rows);
    bool finite = true;
    const Index work = problem.gradient_work(rows.count);
    Watch& watch = Watch::of_thread();
    for (int k = 0; k < steps_ && !watch.stopped(work); ++k) {
      const Weights<T> from = theta(shapes, k);
      const Pass<T> pass = this->pass(k);
      if (problem.support.stepped && k > 0) rows = support(problem, call, task, k);
      if (shapes.dual) dual_.forward_support(shapes, pass);
      forward(shapes, from, rows, pass, first);
      const StepScale<T> scale = call.step_scale(k, shapes.depth);
      const T loss = rows::loss(targets_, pass.h(shapes.depth - 1), shapes.last().out_stride,
                                scratch_, pass.d(shapes.depth - 1, rows.count), scale.deltas);
      finite = finite && is_finite_number(loss);
      if (k == 0 && call.support_losses != nullptr) call.support_losses[task] = loss;
      backward(shapes, from, rows, pass);
      const T* const scaled = descend(shapes, from, theta(shapes, k + 1), scale.rates, rows, pass,
                                      scaled_, transposes_too || k + 1 < steps_, first);
      if (shapes.dual) dual_.add_step(shapes, scaled);
    }
    const Weights<T> last = theta(shapes, steps_);
    if (shapes.dual && shapes.forms_first_weight) dual_.form_weight(shapes, last.weight(shapes[0]));
    finite = finite && is_finite(last.values, shapes.adapted_parameters);
    return finite && (!shapes.dual || dual_.finite(shapes));
  }

 private:
  static bool is_finite_number(T x) { return x - x == T(0); }
  /// How many there is room for.
  static Index thetas(int steps, bool taped) { return std::max(1, taped ? steps : 1); }

  int steps_;
  bool taped_;
  Pass<T> passes_;
  TargetPacks<T> target_packs_;
  Targeted<T> targets_;
  LossScratch<T> scratch_;
  DualLayer<T> dual_;
  Weights<T> adapted_;
  Weights<T> own_;  ///< packed theta of the task, where each has its own
  Weights<T> start_;
  T* scaled_ = nullptr;
};

}  // namespace FOMAML_FAST_NAMESPACE::rows
