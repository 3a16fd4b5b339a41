// Meta-gradients and outer steps of many learners in one call.
#include "api/parameters.hpp"
#include "api/plan.hpp"
#include "learners.hpp"
#include "outer_object.hpp"

namespace fomaml_fast_bindings {

namespace {

/// What many learners are asked for, as Python passed it: lists hold an item for each, or one for
/// all.
struct LearnersCall {
  const api::Network& net;
  const std::vector<ExamplesObject*>&supports, &queries;
  const std::vector<AlgorithmObject*>& algorithms;
  const std::vector<py::object>& task_weights;
  bool mean, per_task, trace, drops;
  bool check_finite;

  [[nodiscard]] Index tasks() const { return supports[0]->examples.tasks; }
  [[nodiscard]] const core::AlgorithmSpec& spec() const { return algorithms[0]->algorithm.spec; }

  /// The checked arguments of one learner.
  [[nodiscard]] api::MetaArguments of(Index learner, const Cut& theta,
                                      const RatesOfLearners& rates) const {
    const api::Examples& support = item_of(supports, learner).examples;
    const py::object& weights =
        task_weights[task_weights.size() == 1 ? 0 : static_cast<std::size_t>(learner)];
    const api::MetaArguments arguments{
        .net = &net,
        .algorithm = &item_of(algorithms, learner).algorithm,
        .support = &support,
        .query = &item_of(queries, learner).examples,
        .task_weights =
            weights.is_none() ? nullptr : py::reinterpret_borrow<py::array>(weights).data(),
        .theta = theta[learner],
        .rates = rates[learner],
        .mean = mean,
        .drops = drops,
        .check_finite = check_finite};
    api::Fault fault;
    fault.learner = learner;
    expect(api::check(arguments, fault), fault);
    fault.reason = api::Reason::learner_tasks;
    fault.count = tasks();
    fault.got = support.tasks;
    expect(support.tasks == tasks(), fault);
    check_alike(arguments.algorithm->spec, fault);
    return arguments;
  }

 private:
  /// Whether a learner's algorithm has the results that there is room for.
  void check_alike(const core::AlgorithmSpec& own, api::Fault& fault) const {
    const core::AlgorithmSpec& first = spec();
    const auto is_implicit = [](const auto& of) { return of.flow == core::Flow::implicit; };
    fault.reason = api::Reason::learner_algorithm;
    fault.text = "learning rates or not";
    expect(own.learns_rates == first.learns_rates, fault);
    fault.text = "taking inner steps or none";
    expect((own.steps > 0) == (first.steps > 0), fault);
    fault.text = "the gradient being implicit or not";
    expect(is_implicit(own) == is_implicit(first), fault);
  }
};

/// Results of all learners as arrays, of which None stands for those that there are not.
template <class T>
class ArraysOfLearners {
 public:
  std::vector<api::MetaResults<T>> results;

  ArraysOfLearners(const LearnersCall& asked, Index learners)
      : results(static_cast<std::size_t>(learners)),
        tasks_(asked.tasks()),
        losses_(new_array<T>({learners, tasks_})),
        flags_(new_array<bool>({learners, tasks_})) {
    const core::AlgorithmSpec& spec = asked.spec();
    const auto matrix = [&]<class U>(U, bool wanted, py::object& array) {
      if (!wanted) return static_cast<U*>(nullptr);
      auto made = new_array<U>({learners, tasks_});
      U* const data = made.mutable_data();
      array = std::move(made);
      return data;
    };
    const bool solves = spec.flow == core::Flow::implicit;
    T* const support = matrix(T{}, spec.steps > 0, support_losses_);
    T* const before = matrix(T{}, asked.trace, losses_before_);
    T* const residuals = matrix(T{}, solves, residuals_);
    auto* const iterations = matrix(std::int32_t{}, solves, iterations_);
    auto* const indefinite = reinterpret_cast<std::uint8_t*>(matrix(bool{}, solves, indefinite_));
    const Index n_params = asked.net.n_params();
    T* grads = nullptr;
    if (asked.per_task) {
      auto made = new_array<T>({learners, tasks_, n_params});
      grads = made.mutable_data();
      task_grads_ = std::move(made);
    }
    const auto row = [&]<class U>(U* data, std::size_t r, Index length) {
      return data == nullptr ? nullptr : data + static_cast<Index>(r) * length;
    };
    for (std::size_t r = 0; r < results.size(); ++r) {
      api::MetaResults<T>& of = results[r];
      of.losses = row(losses_.mutable_data(), r, tasks_);
      of.diverged = row(reinterpret_cast<std::uint8_t*>(flags_.mutable_data()), r, tasks_);
      of.support_losses = row(support, r, tasks_);
      of.losses_before = row(before, r, tasks_);
      of.task_grads = row(grads, r, tasks_ * n_params);
      of.solver = {row(residuals, r, tasks_), row(iterations, r, tasks_),
                   row(indefinite, r, tasks_)};
    }
  }

  /// Throws if tasks diverged that are not dropped, or what is left is not finite.
  void check(const std::vector<core::Status>& ended) const {
    const auto learners = static_cast<Index>(results.size());
    const std::vector<Index> lost =
        learners_where(learners, [&](std::size_t r) { return ended[r] == core::Status::diverged; });
    if (!lost.empty()) {
      const api::MetaResults<T>& first = results[static_cast<std::size_t>(lost[0])];
      throw Diverged{flagged(first.diverged, tasks_), first.first_bad_step, tasks_, "", lost};
    }
    const std::vector<Index> infinite =
        learners_where(learners, [&](std::size_t r) { return !results[r].finite; });
    if (!infinite.empty()) throw Diverged{{}, 0, tasks_, "sum", infinite};
  }

  /// (loss, losses, support losses, losses before, diverged, number of them), and what the solver
  /// reports.
  [[nodiscard]] py::tuple told() const {
    return py::make_tuple(of_each<double>([](const auto& of) { return of.loss; }), losses_,
                          support_losses_, losses_before_, flags_,
                          of_each<std::int64_t>([](const auto& of) { return of.n_diverged; }));
  }
  [[nodiscard]] py::object solver() const {
    if (residuals_.is_none()) return py::none();
    return py::make_tuple(residuals_, iterations_, indefinite_);
  }
  [[nodiscard]] const py::object& task_grads() const { return task_grads_; }

 private:
  template <class U, class Number>
  py::array_t<U> of_each(Number&& number) const {
    auto made = new_array<U>({static_cast<Index>(results.size())});
    std::transform(results.begin(), results.end(), made.mutable_data(), number);
    return made;
  }

  Index tasks_;
  py::array_t<T> losses_;
  py::array_t<bool> flags_;
  py::object support_losses_ = py::none(), losses_before_ = py::none(), task_grads_ = py::none();
  py::object residuals_ = py::none(), iterations_ = py::none(), indefinite_ = py::none();
};

/// [R] and the shape of what `like` holds; none of it where there is nothing.
template <class T>
py::array_t<T> array_of_learners(Index learners, const api::Argument& like, Index size) {
  std::vector<py::ssize_t> shape{learners};
  if (size == 0) {
    shape.push_back(0);
  } else {
    const api::Shape& of = like.array().shape;
    shape.insert(shape.end(), of.lengths.begin(), of.lengths.begin() + of.axes);
  }
  return py::array_t<T>(shape);
}

/// Rates of algorithms that learn them differ in numbers alone.
void expect_same_shape(const api::Argument& rates, const api::Argument& first, Index learner) {
  const api::Shape &got = rates.array().shape, &wanted = first.array().shape;
  if (got.axes == wanted.axes && got.lengths == wanted.lengths) return;
  api::Fault fault;
  fault.learner = learner;
  fault.reason = api::Reason::learner_algorithm;
  fault.text = "the shape of learned rates";
  throw Refused{fault};
}

py::tuple meta_grad_of_learners(const api::Network& net, const py::handle& theta_object,
                                const std::vector<ExamplesObject*>& supports,
                                const std::vector<ExamplesObject*>& queries,
                                const std::vector<AlgorithmObject*>& algorithms,
                                const py::handle& rates_object,
                                const std::vector<py::object>& task_weights, bool mean,
                                bool per_task, bool trace, bool drops, const py::handle& threads,
                                const py::handle& check_finite) {
  const LearnersCall asked{
      net,  supports, queries, algorithms, task_weights,
      mean, per_task, trace,   drops,      flag_of(check_finite, "check_finite")};
  const Given whole("theta", theta_object);
  const Index learners = count_learners(*whole, net);
  const Cut theta(*whole, learners, "theta");
  const RatesOfLearners rates("rates", rates_object, *whole, algorithms, net);
  const int workers = threads_of(threads);
  std::vector<api::MetaArguments> arguments;
  for (Index r = 0; r < learners; ++r) {
    arguments.push_back(asked.of(r, theta, rates));
    if (asked.spec().learns_rates) expect_same_shape(arguments.back().rates, arguments[0].rates, r);
  }
  return api::visit_float(whole->dtype(), [&]<class T>(T) -> py::tuple {
    ArraysOfLearners<T> arrays(asked, learners);
    const Index n_params = net.n_params();
    auto grad = new_array<T>({learners, n_params});
    T *const grads = grad.mutable_data(), *rate_grads = nullptr;
    py::object rate_grad = py::none();
    const Index n_rates = asked.spec().learns_rates ? arguments[0].rates.array().size() : Index{0};
    if (asked.spec().learns_rates) {
      auto made = array_of_learners<T>(learners, arguments[0].rates, n_rates);
      rate_grads = made.mutable_data();
      rate_grad = std::move(made);
    }
    for (Index r = 0; r < learners; ++r) {
      api::MetaResults<T>& of = arrays.results[static_cast<std::size_t>(r)];
      of.grad = grads + r * n_params;
      if (rate_grads != nullptr) of.rate_grad = rate_grads + r * n_rates;
    }
    const bool weighs = arguments[0].task_weights != nullptr;
    arrays.check(run_learners(learners, api::planned_problem<T>("meta_grad", arguments[0], weighs),
                              workers, [&](Index r, const core::Execution& execution) {
                                const auto i = static_cast<std::size_t>(r);
                                return api::meta_gradient(arguments[i], execution,
                                                          arrays.results[i]);
                              }));
    return py::make_tuple(grad, rate_grad, arrays.task_grads(), arrays.told(), arrays.solver());
  });
}

/// States of all learners before and after a step.
template <class T>
struct States {
  std::vector<api::StepResults<T>> results;
  py::array_t<T> theta, rates, moments, norms;

  States(Index learners, const api::MetaArguments& of, const api::Argument& of_moments,
         Index n_rates)
      : results(static_cast<std::size_t>(learners)),
        theta(new_array<T>({learners, of.net->n_params()})),
        rates(array_of_learners<T>(learners, of.rates, n_rates)),
        moments(array_of_learners<T>(learners, of_moments, -1)) {
    const Index n_params = of.net->n_params(), n_moments = of_moments.array().size();
    Index r = 0;
    for (api::StepResults<T>& result : results) {
      result.theta = theta.mutable_data() + r * n_params;
      result.rates = rates.mutable_data() + r * n_rates;
      result.moments = moments.mutable_data() + r * n_moments;
      ++r;
    }
  }
  void check(Index tasks) const {
    const std::vector<Index> lost = learners_where(
        static_cast<Index>(results.size()), [&](std::size_t r) { return !results[r].finite; });
    if (!lost.empty()) throw Diverged{{}, 0, tasks, "state", lost};
  }
  [[nodiscard]] py::array_t<double> grad_norms() const {
    auto made = new_array<double>({static_cast<Index>(results.size())});
    std::transform(results.begin(), results.end(), made.mutable_data(),
                   [](const auto& of) { return of.grad_norm; });
    return made;
  }
};

py::tuple meta_step_of_learners(
    const api::Network& net, const py::handle& theta_object, const py::handle& rates_object,
    const py::handle& moments_object, const std::vector<Index>& steps, const py::list& lrs,
    const OuterObject& outer, const std::vector<ExamplesObject*>& supports,
    const std::vector<ExamplesObject*>& queries, const std::vector<AlgorithmObject*>& algorithms,
    const std::vector<py::object>& task_weights, bool mean, bool trace, bool drops,
    const py::handle& threads, const py::handle& check_finite) {
  const LearnersCall asked{
      net,  supports, queries, algorithms, task_weights,
      mean, false,    trace,   drops,      flag_of(check_finite, "check_finite")};
  const Given whole("state.theta", theta_object);
  const Index learners = count_learners(*whole, net);
  const Cut theta(*whole, learners, "state.theta");
  const RatesOfLearners rates("state.rates", asked.spec().learns_rates ? rates_object : py::none(),
                              *whole, algorithms, net);
  const Given all_moments("state.moments", moments_object, {Role::numbers, whole->dtype()});
  const Cut moments(*all_moments, learners, "state.theta");
  const int workers = threads_of(threads);

  std::vector<OuterRates> outer_rates;
  for (const py::handle lr : lrs) outer_rates.emplace_back(lr);
  std::vector<api::MetaArguments> arguments;
  std::vector<api::OuterArguments> optimisers;
  Index n_rates = 0;
  for (Index r = 0; r < learners; ++r) {
    const auto i = static_cast<std::size_t>(r);
    arguments.push_back(asked.of(r, theta, rates));
    n_rates = count_learned(item_of(algorithms, r), net, arguments[i].rates, r);
    const api::Argument of_moments = moments[r];
    optimisers.push_back(outer_rates[outer_rates.size() == 1 ? 0 : i].arguments(
        outer, steps[steps.size() == 1 ? 0 : i], of_moments));
    api::Fault fault;
    fault.learner = r;
    expect(api::check(optimisers[i], net, n_rates, whole->dtype(), fault), fault);
  }
  return api::visit_float(whole->dtype(), [&]<class T>(T) -> py::tuple {
    ArraysOfLearners<T> arrays(asked, learners);
    States<T> after(learners, arguments[0], moments[0], n_rates);
    const bool weighs = arguments[0].task_weights != nullptr;
    arrays.check(run_learners(learners, api::planned_problem<T>("meta_grad", arguments[0], weighs),
                              workers, [&](Index r, const core::Execution& execution) {
                                const auto i = static_cast<std::size_t>(r);
                                return api::meta_step(arguments[i], optimisers[i], n_rates,
                                                      execution, arrays.results[i],
                                                      after.results[i]);
                              }));
    after.check(asked.tasks());
    return py::make_tuple(after.theta, after.rates, after.moments, after.grad_norms(),
                          arrays.told(), arrays.solver());
  });
}

}  // namespace

void register_learners(py::module_& m) {
  m.def("meta_grad_of_learners", &meta_grad_of_learners, py::arg("net"), py::arg("theta"),
        py::arg("supports"), py::arg("queries"), py::arg("algorithms"), py::arg("rates"),
        py::arg("task_weights"), py::arg("mean"), py::arg("per_task"), py::arg("trace"),
        py::arg("drops"), py::arg("threads"), py::arg("check_finite"),
        "(grad, rate grad, task grads, (loss, losses, support losses, losses before, diverged, "
        "number of them), solver report), each [R, ...]");
  m.def("meta_step_of_learners", &meta_step_of_learners, py::arg("net"), py::arg("theta"),
        py::arg("rates"), py::arg("moments"), py::arg("steps"), py::arg("lrs"), py::arg("outer"),
        py::arg("supports"), py::arg("queries"), py::arg("algorithms"), py::arg("task_weights"),
        py::arg("mean"), py::arg("trace"), py::arg("drops"), py::arg("threads"),
        py::arg("check_finite"),
        "(theta, rates, moments, norms of the gradients, (loss, ...) as of meta_grad_of_learners, "
        "solver report), each [R, ...]; steps count from 1");
}

}  // namespace fomaml_fast_bindings
