// The meta-gradient, alone or with the outer step that follows it.
#include "api/adaptation.hpp"
#include "api/parameters.hpp"
#include "hooks.hpp"
#include "outer_object.hpp"
#include "rates.hpp"
#include "results.hpp"

namespace fomaml_fast_bindings {

namespace {

/// What a meta-gradient is asked for, as Python passed it.
struct MetaCall {
  const api::Network& net;
  const ExamplesObject &support, &query;
  const AlgorithmObject& algorithm;
  py::handle task_weights;
  bool mean, per_task, trace, drops;
  py::handle check_finite;

  [[nodiscard]] api::MetaArguments arguments(const api::Argument& theta,
                                             const api::Argument& rates) const {
    return {.net = &net,
            .algorithm = &algorithm.algorithm,
            .support = &support.examples,
            .query = &query.examples,
            .task_weights = task_weights.is_none()
                                ? nullptr
                                : py::reinterpret_borrow<py::array>(task_weights).data(),
            .theta = theta,
            .rates = rates,
            .mean = mean,
            .drops = drops,
            .check_finite = flag_of(check_finite, "check_finite")};
  }
};

/// Its results as arrays, of which None stands for those that there are not.
template <class T>
struct Arrays {
  api::MetaResults<T> results;
  py::array_t<T> losses;
  py::object support_losses = py::none(), losses_before = py::none(), task_grads = py::none(),
             solver = py::none();
  Flags flags;

  explicit Arrays(const MetaCall& asked)
      : losses(new_array<T>({asked.support.examples.tasks})), flags(losses.size()) {
    const Index tasks = losses.size();
    const auto vector = [&](py::object& array) {
      auto made = new_array<T>({tasks});
      T* const data = made.mutable_data();
      array = std::move(made);
      return data;
    };
    const core::AlgorithmSpec& spec = asked.algorithm.algorithm.spec;
    results.losses = losses.mutable_data();
    results.diverged = flags.data();
    if (spec.steps > 0) results.support_losses = vector(support_losses);
    if (asked.trace) results.losses_before = vector(losses_before);
    if (asked.per_task) {
      auto made = new_array<T>({tasks, asked.net.n_params()});
      results.task_grads = made.mutable_data();
      task_grads = std::move(made);
    }
    if (spec.flow == core::Flow::implicit) {
      auto residuals = new_array<T>({tasks});
      auto iterations = new_array<std::int32_t>({tasks});
      auto indefinite = new_array<bool>({tasks});
      results.solver = {residuals.mutable_data(), iterations.mutable_data(),
                        reinterpret_cast<std::uint8_t*>(indefinite.mutable_data())};
      solver = py::make_tuple(residuals, iterations, indefinite);
    }
  }
  py::object diverged() { return results.n_diverged > 0 ? flags.array() : py::object(py::none()); }

  /// Throws if tasks diverged that are not dropped, or what is left is not finite.
  void check(bool any_diverged) {
    const Index tasks = losses.size();
    if (any_diverged) throw Diverged{flags.raised(), results.first_bad_step, tasks};
    if (!results.finite) throw Diverged{{}, 0, tasks, "sum"};
  }
};

py::tuple meta_grad(const api::Network& net, const py::handle& theta_object,
                    const ExamplesObject& support, const ExamplesObject& query,
                    const AlgorithmObject& algorithm, const py::handle& rates_object,
                    const py::handle& task_weights, bool mean, bool per_task, bool trace,
                    bool drops, const py::handle& threads, const py::handle& check_finite) {
  const MetaCall asked{net,  support,  query, algorithm, task_weights,
                       mean, per_task, trace, drops,     check_finite};
  const Given theta("theta", theta_object);
  const GivenRates rates("rates", rates_object, algorithm, net, theta->dtype());
  const int workers = threads_of(threads);
  const api::MetaArguments arguments = asked.arguments(*theta, *rates);
  api::Fault fault;
  expect(api::check(arguments, fault), fault);
  return api::visit_float(theta->dtype(), [&]<class T>(T) -> py::tuple {
    Arrays<T> arrays(asked);
    auto grad = new_array<T>({net.n_params()});
    arrays.results.grad = grad.mutable_data();
    py::object rate_grad = py::none();
    if (algorithm.algorithm.spec.learns_rates) {
      const auto shape = py::reinterpret_borrow<py::array>(rates.object());
      py::array_t<T> made(std::vector<py::ssize_t>(shape.shape(), shape.shape() + shape.ndim()));
      arrays.results.rate_grad = made.mutable_data();
      rate_grad = std::move(made);
    }
    arrays.check(run(workers, [&](const core::Execution& execution) {
      return api::meta_gradient(arguments, execution, arrays.results);
    }));
    return py::make_tuple(grad, arrays.results.loss, arrays.losses, arrays.support_losses,
                          arrays.task_grads, arrays.losses_before, arrays.diverged(),
                          arrays.results.n_diverged, rate_grad, arrays.solver);
  });
}

/// The part of a state that a step reads, checked.
struct GivenState {
  Given theta;
  GivenRates rates;
  Given moments;
  Index n_rates = 0;

  GivenState(const py::handle& theta_object, const py::handle& rates_object,
             const py::handle& moments_object, const AlgorithmObject& algorithm,
             const api::Network& net)
      : theta("state.theta", theta_object),
        rates("state.rates", rates_object, algorithm, net, theta->dtype()),
        moments("state.moments", moments_object, {Role::numbers, theta->dtype()}) {}

  void check_rates(const AlgorithmObject& algorithm, const api::Network& net) {
    n_rates = count_learned(algorithm, net, *rates);
  }
};

/// New arrays of a state after a step.
template <class T>
struct NewState {
  api::StepResults<T> results;
  py::array_t<T> theta, rates, moments;

  NewState(const GivenState& from, const api::Network& net)
      : theta(new_array<T>({net.n_params()})),
        rates(shape_of(from)),
        moments(new_array<T>({from.moments->array().shape[0], from.moments->array().shape[1]})) {
    results.theta = theta.mutable_data();
    results.rates = rates.mutable_data();
    results.moments = moments.mutable_data();
  }
  void check(Index tasks) const {
    if (!results.finite) throw Diverged{{}, 0, tasks, "state"};
  }

 private:
  static std::vector<py::ssize_t> shape_of(const GivenState& from) {
    if (from.n_rates == 0) return {0};
    const auto rates = py::reinterpret_borrow<py::array>(from.rates.object());
    return {rates.shape(), rates.shape() + rates.ndim()};
  }
};

py::tuple meta_step(const api::Network& net, const py::handle& theta, const py::handle& rates,
                    const py::handle& moments, Index step, const py::handle& lr,
                    const OuterObject& outer, const ExamplesObject& support,
                    const ExamplesObject& query, const AlgorithmObject& algorithm,
                    const py::handle& task_weights, bool mean, bool trace, bool drops,
                    const py::handle& threads, const py::handle& check_finite) {
  const MetaCall asked{net,  support, query, algorithm, task_weights,
                       mean, false,   trace, drops,     check_finite};
  GivenState state(theta, algorithm.algorithm.spec.learns_rates ? rates : py::none(), moments,
                   algorithm, net);
  const int workers = threads_of(threads);
  const api::MetaArguments arguments = asked.arguments(*state.theta, *state.rates);
  const OuterRates lrs(lr);
  const api::OuterArguments optimiser = lrs.arguments(outer, step, *state.moments);
  api::Fault fault;
  expect(api::check(arguments, fault), fault);
  state.check_rates(algorithm, net);
  expect(api::check(optimiser, net, state.n_rates, state.theta->dtype(), fault), fault);
  return api::visit_float(state.theta->dtype(), [&]<class T>(T) -> py::tuple {
    Arrays<T> arrays(asked);
    NewState<T> after(state, net);
    arrays.check(run(workers, [&](const core::Execution& execution) {
      return api::meta_step(arguments, optimiser, state.n_rates, execution, arrays.results,
                            after.results);
    }));
    after.check(arrays.losses.size());
    return py::make_tuple(after.theta, after.rates, after.moments, arrays.results.loss,
                          arrays.losses, arrays.support_losses, arrays.losses_before,
                          arrays.diverged(), arrays.results.n_diverged, after.results.grad_norm,
                          arrays.solver);
  });
}

/// The outer step of a gradient that was computed elsewhere.
py::tuple outer_step(const api::Network& net, const py::handle& theta, const py::handle& rates,
                     const py::handle& moments, Index step, const py::handle& lr,
                     const OuterObject& outer, const AlgorithmObject& algorithm,
                     const py::array& grad, const py::object& rate_grad, Index tasks) {
  GivenState state(theta, algorithm.algorithm.spec.learns_rates ? rates : py::none(), moments,
                   algorithm, net);
  const OuterRates lrs(lr);
  const api::OuterArguments optimiser = lrs.arguments(outer, step, *state.moments);
  api::Fault fault;
  state.check_rates(algorithm, net);
  expect(api::check(optimiser, net, state.n_rates, state.theta->dtype(), fault), fault);
  return api::visit_float(state.theta->dtype(), [&]<class T>(T) -> py::tuple {
    NewState<T> after(state, net);
    const bool learns = state.n_rates > 0;
    ended_diverged(api::outer_step<T>(
        optimiser, net, state.n_rates, state.theta->array().as<T>(),
        learns ? state.rates->array().as<T>() : nullptr, static_cast<const T*>(grad.data()),
        learns ? static_cast<const T*>(py::cast<py::array>(rate_grad).data()) : nullptr,
        after.results));
    after.check(tasks);
    return py::make_tuple(after.theta, after.rates, after.moments, after.results.grad_norm);
  });
}

/// For losses that Python computes: checks the call, returns theta and rates as the core has them.
py::tuple check_meta(const api::Network& net, const py::handle& theta_object,
                     const ExamplesObject& support, const ExamplesObject& query,
                     const AlgorithmObject& algorithm, const py::handle& rates_object,
                     const py::handle& check_finite, bool of_state) {
  const MetaCall asked{net,  support, query, algorithm, py::none(),
                       true, false,   false, false,     check_finite};
  const Given theta(of_state ? "state.theta" : "theta", theta_object);
  const GivenRates rates(of_state ? "state.rates" : "rates", rates_object, algorithm, net,
                         theta->dtype());
  api::Fault fault;
  expect(api::check(asked.arguments(*theta, *rates), fault), fault);
  return py::make_tuple(theta.object(), rates->given() ? rates.object() : py::object(py::none()));
}

/// A copy of one set of parameters [P] that are finite.
py::object parameters(const api::Network& net, const py::handle& theta_object) {
  const Given theta("theta", theta_object);
  api::Fault fault;
  expect(api::check_parameters(*theta, {.n_params = net.n_params(), .per_task = false}, fault),
         fault);
  expect(api::check_finite(*theta, false, fault), fault);
  return theta.object().attr("copy")();
}

/// Parameters [P] or [T, P] as the core has them.
py::object parameters_of_tasks(const api::Network& net, const py::handle& theta_object,
                               const py::handle& check_finite) {
  const Given theta("theta", theta_object);
  api::Fault fault;
  expect(api::check_parameters(*theta, {.n_params = net.n_params()}, fault), fault);
  if (flag_of(check_finite, "check_finite")) expect(api::check_finite(*theta, false, fault), fault);
  return theta.object();
}

/// For losses that Python computes: checks `steps` of an adaptation, or with -1 the algorithm's;
/// returns theta and rates as the core has them.
py::tuple check_adaptation(const api::Network& net, const py::handle& theta_object,
                           const ExamplesObject& support, const ExamplesObject* query,
                           const AlgorithmObject& algorithm, const py::handle& rates_object,
                           int steps, const py::handle& check_finite) {
  const Given theta("theta", theta_object);
  const GivenRates rates("rates", rates_object, algorithm, net, theta->dtype());
  api::Adaptation adaptation({.net = &net,
                              .algorithm = &algorithm.algorithm,
                              .theta = *theta,
                              .support = &support.examples,
                              .query = query == nullptr ? nullptr : &query->examples,
                              .rates = *rates,
                              .steps = steps < 0 ? algorithm.algorithm.spec.steps : steps,
                              .all_steps = steps < 0,
                              .theta_per_task = query == nullptr,
                              .check_finite = flag_of(check_finite, "check_finite")});
  api::Fault fault;
  expect(adaptation.measure(fault) && adaptation.read(nullptr, fault), fault);
  return py::make_tuple(theta.object(), rates->given() ? rates.object() : py::object(py::none()));
}

}  // namespace

void register_meta(py::module_& m) {
  m.def("meta_grad", &meta_grad, py::arg("net"), py::arg("theta"), py::arg("support"),
        py::arg("query"), py::arg("algorithm"), py::arg("rates"), py::arg("task_weights"),
        py::arg("mean"), py::arg("per_task"), py::arg("trace"), py::arg("drops"),
        py::arg("threads"), py::arg("check_finite"),
        "(grad, loss, losses, support losses, task grads, losses before, diverged, number of "
        "them, rate grad, solver report)");
  m.def("meta_step", &meta_step, py::arg("net"), py::arg("theta"), py::arg("rates"),
        py::arg("moments"), py::arg("step"), py::arg("lr"), py::arg("outer"), py::arg("support"),
        py::arg("query"), py::arg("algorithm"), py::arg("task_weights"), py::arg("mean"),
        py::arg("trace"), py::arg("drops"), py::arg("threads"), py::arg("check_finite"),
        "(theta, rates, moments, loss, losses, support losses, losses before, diverged, number of "
        "them, norm of the gradient, solver report); step counts from 1");
  m.def("outer_step", &outer_step, py::arg("net"), py::arg("theta"), py::arg("rates"),
        py::arg("moments"), py::arg("step"), py::arg("lr"), py::arg("outer"), py::arg("algorithm"),
        py::arg("grad"), py::arg("rate_grad").none(true), py::arg("tasks"),
        "(theta, rates, moments, norm of the gradient)");
  m.def("check_meta", &check_meta, py::arg("net"), py::arg("theta"), py::arg("support"),
        py::arg("query"), py::arg("algorithm"), py::arg("rates"), py::arg("check_finite"),
        py::arg("of_state") = false, "(theta, rates or None)");
  m.def("parameters", &parameters, py::arg("net"), py::arg("theta"), "a checked copy");
  m.def("parameters_of_tasks", &parameters_of_tasks, py::arg("net"), py::arg("theta"),
        py::arg("check_finite"));
  m.def("check_adaptation", &check_adaptation, py::arg("net"), py::arg("theta"), py::arg("support"),
        py::arg("query").none(true), py::arg("algorithm"), py::arg("rates"), py::arg("steps"),
        py::arg("check_finite"), "(theta, rates or None)");
}

}  // namespace fomaml_fast_bindings
