// The meta-gradient, alone or with the outer step that follows it.
#include "bindings.hpp"
#include "kernels/compensated.hpp"

namespace fomaml_fast_bindings {

core::Problem meta_problem(const Network& net, const Rows& support, const Rows& query,
                           const Algorithm& algorithm) {
  core::Problem problem = problem_of(net, core::Operation::meta_gradient);
  problem.tasks = support.tasks;
  problem.support = support.shape_with(loss_for(net, support));
  problem.query = query.shape_with(loss_for(net, query, algorithm.query_loss));
  return problem;
}

namespace {

/// One meta-gradient: its results as arrays.
template <class T>
struct MetaGradient {
  py::array_t<T> grad, losses;
  py::object support_losses = py::none(), task_grads = py::none();
  py::object rate_grad = py::none(), solver = py::none();
  py::object diverged = py::none();  ///< an array only if any task diverged
  double loss = 0;
  bool any_diverged = false;
  bool sums_are_finite = true;

  MetaGradient(const Network& net, const py::array& theta, const Rows& support, const Rows& query,
               const Algorithm& algorithm, const py::object& rates, const py::object& task_weights,
               bool mean, bool per_task, int threads)
      : grad(new_array<T>({net.layout.n_params})), losses(new_array<T>({support.tasks})) {
    Flags flags(support.tasks);
    core::Problem problem = meta_problem(net, support, query, algorithm);
    problem.wants_task_gradients = per_task;

    const double weight = mean ? 1.0 / static_cast<double>(support.tasks) : 1.0;
    core::Call<T> call;
    call.theta = data<T>(theta);
    call.support = support.view<T>();
    call.query = query.view<T>();
    const AlgorithmCall<T> at(algorithm, rates, net);
    at.fill(problem, call);
    if (!task_weights.is_none()) {
      problem.weighs_tasks = true;
      call.task_weights = data<T>(py::cast<py::array>(task_weights));
    }
    std::vector<T> rate_gradient;
    if (problem.algorithm.learns_rates) {
      rate_gradient.resize(static_cast<std::size_t>(problem.n_rates()));
      call.rate_grad = rate_gradient.data();
    }
    if (problem.algorithm.flow == core::Flow::implicit)
      solver = report_to(call.solver, support.tasks);
    call.grad_scale = static_cast<T>(weight);
    call.grad = grad.mutable_data();
    call.losses = losses.mutable_data();
    call.diverged = flags.data();
    if (algorithm.spec.steps > 0) {
      auto array = new_array<T>({support.tasks});
      call.support_losses = array.mutable_data();
      support_losses = std::move(array);
    }
    if (per_task) {
      auto array = new_array<T>({support.tasks, net.layout.n_params});
      call.task_vectors = array.mutable_data();
      task_grads = std::move(array);
    }
    any_diverged = run(problem, call, threads) == core::Status::diverged;
    if (any_diverged) diverged = flags.array();
    core::CompensatedSum<double> total;
    for (Index t = 0; t < support.tasks; ++t) {
      const double share =
          call.task_weights == nullptr ? 1 : static_cast<double>(call.task_weights[t]);
      total.add(share * static_cast<double>(losses.data()[t]));
    }
    loss = total.value() * weight;
    sums_are_finite =
        core::all_finite(grad.data(), grad.size()) &&
        core::all_finite(rate_gradient.data(), static_cast<Index>(rate_gradient.size()));
    if (call.rate_grad != nullptr) rate_grad = at.shaped(rate_gradient);
  }

 private:
  /// New arrays for the report of the implicit flow.
  static py::tuple report_to(core::SolverReport<T>& report, Index tasks) {
    auto residuals = new_array<T>({tasks});
    auto iterations = new_array<std::int32_t>({tasks});
    auto indefinite = new_array<bool>({tasks});
    report.residuals = residuals.mutable_data();
    report.iterations = iterations.mutable_data();
    report.indefinite = reinterpret_cast<std::uint8_t*>(indefinite.mutable_data());
    return py::make_tuple(residuals, iterations, indefinite);
  }
};

/// Whether the arguments are what the core computes with; if not, Python converts or explains.
bool ready(const Network& net, const py::handle& theta, const Rows& support, const Rows& query,
           const Algorithm& algorithm, const py::object& rates, bool check_finite) {
  if (!is_plain_theta(theta, net, check_finite)) return false;
  const bool theta_is_double = is_double(py::reinterpret_borrow<py::array>(theta));
  if (!rates.is_none()) {
    if (!is_plain(rates)) return false;
    const auto array = py::reinterpret_borrow<py::array>(rates);
    if (is_double(array) != theta_is_double) return false;
    if (dispatch(array,
                 [&]<class T>(T) { return !core::all_finite(data<T>(array), array.size()); })) {
      return false;
    }
  }
  if (!algorithm.fits(net, rates)) return false;
  const Index context = algorithm.spec.context;
  return support.fit(net, loss_for(net, support), theta_is_double, context) &&
         query.fit(net, loss_for(net, query, algorithm.query_loss), theta_is_double, context);
}

py::object meta_grad(const Network& net, const py::object& theta_object, const Rows& support,
                     const Rows& query, const Algorithm& algorithm, const py::object& rates,
                     const py::object& task_weights, bool mean, bool per_task, int threads,
                     bool check_finite) {
  if (!ready(net, theta_object, support, query, algorithm, rates, check_finite)) return py::none();
  const auto theta = py::reinterpret_borrow<py::array>(theta_object);
  return dispatch(theta, [&]<class T>(T) -> py::object {
    MetaGradient<T> result(net, theta, support, query, algorithm, rates, task_weights, mean,
                           per_task, threads);
    return py::make_tuple(result.any_diverged, result.loss, result.grad, result.losses,
                          result.support_losses, result.task_grads, result.diverged,
                          result.rate_grad, result.solver, result.sums_are_finite);
  });
}

py::tuple outer_step(const Outer& outer, double lr, Index step, const py::array& theta,
                     const py::array& gradient, const py::array& moments) {
  return dispatch(theta, [&]<class T>(T) -> py::tuple {
    const py::ssize_t n_params = theta.size(), n_moments = moments.shape(0);
    auto new_theta = new_array<T>({n_params});
    auto new_moments = new_array<T>({n_moments, n_params});
    const double norm =
        core::outer_step(outer.spec, lr, step, n_params, data<T>(theta), data<T>(gradient),
                         data<T>(moments), new_theta.mutable_data(), new_moments.mutable_data());
    return py::make_tuple(new_theta, new_moments, norm);
  });
}

py::object meta_step(const Network& net, const py::object& theta_object, const Rows& support,
                     const Rows& query, const Algorithm& algorithm, const py::object& task_weights,
                     bool mean, int threads, bool check_finite, const Outer& outer, double lr,
                     Index step, const py::object& moments_object) {
  const py::none rates;
  if (!ready(net, theta_object, support, query, algorithm, rates, check_finite) ||
      !is_plain(moments_object)) {
    return py::none();
  }
  const auto theta = py::reinterpret_borrow<py::array>(theta_object);
  const auto moments = py::reinterpret_borrow<py::array>(moments_object);
  if (moments.ndim() != 2 || moments.shape(0) != core::outer_moments(outer.spec) ||
      moments.shape(1) != theta.size() || moments.itemsize() != theta.itemsize()) {
    return py::none();
  }
  return dispatch(theta, [&]<class T>(T) -> py::object {
    MetaGradient<T> result(net, theta, support, query, algorithm, rates, task_weights, mean, false,
                           threads);
    py::object stepped = py::none();
    if (!result.any_diverged) stepped = outer_step(outer, lr, step, theta, result.grad, moments);
    return py::make_tuple(result.any_diverged, result.loss, stepped, result.losses,
                          result.support_losses, result.diverged, result.solver);
  });
}

}  // namespace

void register_meta_gradient(py::module_& m) {
  m.def(
      "meta_grad", &meta_grad, py::arg("net"), py::arg("theta"), py::arg("support"),
      py::arg("query"), py::arg("algorithm"), py::arg("rates").none(true),
      py::arg("task_weights").none(true), py::arg("mean"), py::arg("per_task"), py::arg("threads"),
      py::arg("check_finite"),
      "(any diverged, loss, grad, losses, support losses, task grads, diverged, rate grad, solver "
      "report, whether the gradients are finite), each of the five before the last None where "
      "there "
      "is none; None alone if an argument needs converting, or is wrong");
  m.def("outer_step", &outer_step, py::arg("outer"), py::arg("lr"), py::arg("step"),
        py::arg("theta"), py::arg("gradient"), py::arg("moments"),
        "(theta, moments, norm of the gradient before clipping); step counts from 1");
  m.def("meta_step", &meta_step, py::arg("net"), py::arg("theta"), py::arg("support"),
        py::arg("query"), py::arg("algorithm"), py::arg("task_weights").none(true), py::arg("mean"),
        py::arg("threads"), py::arg("check_finite"), py::arg("outer"), py::arg("lr"),
        py::arg("step"), py::arg("moments"),
        "(any diverged, loss, outer step or None if any diverged, losses, support losses or None, "
        "diverged or None, solver report or None); None alone as in meta_grad");
}

}  // namespace fomaml_fast_bindings
