// The inner loop for its own sake: adapted parameters, and the way there.
//
// Like ExampleReader, in two strokes: `measure` checks shapes and dtypes, `read` the numbers.
#pragma once

#include "api/algorithm.hpp"
#include "api/step_axis.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

struct AdaptationArguments {
  const Network* net = nullptr;
  const Algorithm* algorithm = nullptr;
  Argument theta{};                   ///< [P], or [T, P] with `theta_per_task`
  ExampleArguments rows{};            ///< the support set
  const Examples* support = nullptr;  ///< instead of rows
  const Examples* query = nullptr;    ///< what query losses are taken of
  Argument rates{};
  int steps = 1;
  bool all_steps = false;  ///< rows of their own at every step must be those of so many steps
  bool theta_per_task = true;
  bool check_finite = true;
};

/// Where the way of every task is written; all may be null.
template <class T>
struct Trace {
  const int* points = nullptr;  ///< ascending steps in 0 ... S at which the next two are taken
  Index n_points = 0;
  T* thetas = nullptr;        ///< [tasks, points, n_adapted]
  T* query_losses = nullptr;  ///< [tasks, points]
  T* losses = nullptr;        ///< [tasks, S + 1], of the support set
  /// First step whose support loss, or whose parameters, are not finite, [tasks]; S + 1 if none.
  std::int32_t* first_bad_loss = nullptr;
  std::int32_t* first_bad_theta = nullptr;
  T* last_finite = nullptr;  ///< [tasks, n_adapted]
};

class Adaptation {
 public:
  explicit Adaptation(const AdaptationArguments& arguments);
  /// Of arguments that were checked before, `support` among them.
  static Adaptation of_checked(const AdaptationArguments& arguments);

  bool measure(Fault& fault);
  [[nodiscard]] std::size_t bytes() const { return in_.support == nullptr ? reader_.bytes() : 0; }
  bool read(std::byte* memory, Fault& fault);

  [[nodiscard]] DType dtype() const { return in_.theta.dtype(); }
  [[nodiscard]] Index tasks() const { return tasks_; }
  [[nodiscard]] bool single() const { return single_; }
  /// Numbers that adapt: all parameters, or the context alone.
  [[nodiscard]] Index n_adapted() const {
    const Index context = in_.algorithm->spec.context;
    return context > 0 ? context : in_.net->n_params();
  }
  [[nodiscard]] int steps() const { return in_.steps; }
  /// Of a run, for an estimate of its work.
  template <class T>
  [[nodiscard]] Problem problem() const;

  /// `adapted` [tasks, n_adapted]; `diverged` [tasks] is 1 where a loss on the way or the adapted
  /// parameters are not finite.
  template <class T>
  Status run(T* adapted, std::uint8_t* diverged, const Execution& execution) const;
  template <class T>
  Status trace(const Trace<T>& to, std::uint8_t* diverged, const Execution& execution) const;
  /// Means and standard deviations of the query rows' targets after the steps, [rows, n_L], where
  /// the head has a closed form.
  template <class T>
  Status predict_query(T* means, T* deviations, std::uint8_t* diverged,
                       const Execution& execution) const;
  /// The same as trace; but parameters that are not finite become the last that are.
  template <class T>
  Status trace_finite(Trace<T> to, std::uint8_t* diverged, const Execution& execution) const;
  /// Query losses after some numbers of steps, [tasks, n_points]; `lost` says where nothing that
  /// was computed means anything. `thetas` [tasks, n_points, n_adapted] may be null.
  template <class T>
  Status evaluate(const int* points, Index n_points, T* losses, T* thetas, std::uint8_t* lost,
                  const Execution& execution) const;
  /// Of tasks that diverged in `run`: the way is gone once more, by them alone, in about the memory
  /// of the call. `first_bad` [count] is the first step whose support loss or parameters are not
  /// finite (S if none); `last_finite` [count, n_adapted] may be null.
  template <class T>
  Status diagnose(const Index* tasks, Index count, std::int32_t* first_bad, T* last_finite,
                  const Execution& execution) const;

 private:
  template <class T>
  void fill(Problem& problem, Call<T>& call, const AlgorithmAt<T>& at) const;

  AdaptationArguments in_;
  StepAxis axis_;
  ExampleReader reader_;
  Examples support_{};
  Index tasks_ = 1;
  bool single_ = true;
};

}  // namespace FOMAML_FAST_NAMESPACE::api
