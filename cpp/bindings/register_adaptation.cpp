// The inner loop for its own sake: adapted parameters, and the way there.
#include "bindings.hpp"

namespace fomaml_fast_bindings {

namespace {

template <class T>
void fill(core::Problem& problem, core::Call<T>& call, const Network& net, const py::array& theta,
          const Rows& support, const AlgorithmCall<T>& algorithm, int steps) {
  algorithm.fill(problem, call);
  problem.algorithm.steps = steps;
  problem.tasks = support.tasks;
  problem.support = support.shape_with(loss_for(net, support));
  call.support = support.view<T>();
  set_theta(problem, call, theta);
}

py::tuple adapt(const Network& net, const py::array& theta, const Rows& support,
                const Algorithm& algorithm, const py::object& rates, int steps, int threads) {
  return dispatch(theta, [&]<class T>(T) -> py::tuple {
    core::Problem problem = problem_of(net, core::Operation::adapt);
    core::Call<T> call;
    const AlgorithmCall<T> at(algorithm, rates, net);
    fill(problem, call, net, theta, support, at, steps);
    auto thetas = new_array<T>({support.tasks, problem.n_adapted()});
    auto diverged = new_array<bool>({support.tasks});
    call.task_vectors = thetas.mutable_data();
    call.diverged = reinterpret_cast<std::uint8_t*>(diverged.mutable_data());
    const bool any = run(problem, call, threads) == core::Status::diverged;
    return py::make_tuple(thetas, diverged, any);
  });
}

/// One task of plain arrays, the call of a device in the field: [P], [K, n_0] and [K, n_L] or
/// labels [K]. None if anything is not plain, does not fit or diverges: Python then takes the long
/// way, which converts or explains.
py::object adapt_plain(const Network& net, const py::object& theta_object,
                       const py::object& x_object, const py::object& y_object,
                       const Algorithm& algorithm, bool check_finite) {
  if (net.spec.loss.targets() != core::Targets::values ||
      net.spec.loss.id == core::LossId::soft_cross_entropy || !is_plain(x_object) ||
      !is_plain(y_object) || !is_plain_theta(theta_object, net, check_finite) ||
      !algorithm.fits(net, py::none())) {
    return py::none();
  }
  const auto theta = py::reinterpret_borrow<py::array>(theta_object);
  const auto x = py::reinterpret_borrow<py::array>(x_object);
  const auto y = py::reinterpret_borrow<py::array>(y_object);
  if (x.ndim() != 2 || y.ndim() != 2 || x.shape(0) == 0 || x.shape(0) != y.shape(0) ||
      x.shape(1) != net.spec.inputs() - algorithm.spec.context ||
      y.shape(1) != net.spec.outputs() || x.itemsize() != theta.itemsize() ||
      y.itemsize() != theta.itemsize()) {
    return py::none();
  }
  return dispatch(theta, [&]<class T>(T) -> py::object {
    if (check_finite &&
        !(core::all_finite(data<T>(x), x.size()) && core::all_finite(data<T>(y), y.size()))) {
      return py::none();
    }
    const Index offsets[2] = {0, x.shape(0)};
    core::Problem problem = problem_of(net, core::Operation::adapt);
    core::Call<T> call;
    const AlgorithmCall<T> at(algorithm, py::none(), net);
    at.fill(problem, call);
    problem.tasks = 1;
    problem.support = {x.shape(0), x.shape(0), false, net.spec.loss};
    call.theta = data<T>(theta);
    call.support.x = data<T>(x);
    call.support.y = data<T>(y);
    call.support.offsets = offsets;
    auto adapted = new_array<T>({problem.n_adapted()});
    std::uint8_t diverged = 0;
    call.task_vectors = adapted.mutable_data();
    call.diverged = &diverged;
    if (run(problem, call, 1) == core::Status::diverged) return py::none();
    return adapted;
  });
}

py::tuple trace(const Network& net, const py::array& theta, const Rows& support,
                const py::object& query, const Algorithm& algorithm, const py::object& rates,
                int steps, bool with_thetas, int threads) {
  return dispatch(theta, [&]<class T>(T) -> py::tuple {
    core::Problem problem = problem_of(net, core::Operation::adapt);
    core::Call<T> call;
    const AlgorithmCall<T> at(algorithm, rates, net);
    fill(problem, call, net, theta, support, at, steps);
    problem.wants_trace = true;
    const py::ssize_t tasks = support.tasks, points = steps + 1;
    auto losses = new_array<T>({tasks, points});
    auto diverged = new_array<bool>({tasks});
    call.trace_losses = losses.mutable_data();
    call.diverged = reinterpret_cast<std::uint8_t*>(diverged.mutable_data());
    py::object thetas = py::none(), query_losses = py::none();
    if (with_thetas) {
      auto array = new_array<T>({tasks, points, problem.n_adapted()});
      call.trace_thetas = array.mutable_data();
      thetas = std::move(array);
    }
    if (!query.is_none()) {
      const Rows& rows = py::cast<const Rows&>(query);
      problem.query = rows.shape_with(loss_for(net, rows, algorithm.query_loss));
      call.query = rows.view<T>();
      auto array = new_array<T>({tasks, points});
      call.trace_query_losses = array.mutable_data();
      query_losses = std::move(array);
    }
    run(problem, call, threads);
    return py::make_tuple(thetas, losses, query_losses, diverged);
  });
}

}  // namespace

void register_adaptation(py::module_& m) {
  m.def("adapt", &adapt, py::arg("net"), py::arg("theta"), py::arg("support"), py::arg("algorithm"),
        py::arg("rates").none(true), py::arg("steps"), py::arg("threads"),
        "(thetas [T, P], diverged [T], any diverged)");
  m.def("adapt_plain", &adapt_plain, py::arg("net"), py::arg("theta"), py::arg("x"), py::arg("y"),
        py::arg("algorithm"), py::arg("check_finite"),
        "theta_S [P] of one task; None if an argument needs converting, is wrong, or it diverges");
  m.def("trace", &trace, py::arg("net"), py::arg("theta"), py::arg("support"),
        py::arg("query").none(true), py::arg("algorithm"), py::arg("rates").none(true),
        py::arg("steps"), py::arg("with_thetas"), py::arg("threads"),
        "(thetas [T, S+1, P] or None, losses [T, S+1], query losses or None, diverged [T])");
}

}  // namespace fomaml_fast_bindings
