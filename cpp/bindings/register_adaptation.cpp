// The inner loop for its own sake: adapted parameters, and the way there.
#include <numeric>

#include "plain_tasks.hpp"

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

/// Of plain arrays, the call of a device in the field. None if anything is not plain, does not fit
/// or diverges: Python then takes the long way, which converts or explains.
py::object adapt_plain(const Network& net, const py::handle& theta, const py::handle& x,
                       const py::handle& y, const Algorithm& algorithm, const py::handle& threads,
                       bool check_finite) {
  PlainTasks tasks;
  if (!algorithm.fits(net, py::none()) || !tasks.read(net, {.theta = theta,
                                                            .x = x,
                                                            .y = y,
                                                            .threads = threads,
                                                            .context = algorithm.spec.context,
                                                            .check_finite = check_finite})) {
    return py::none();
  }
  return dispatch(tasks.theta(), [&]<class T>(T) -> py::object {
    core::Problem problem = problem_of(net, core::Operation::adapt);
    core::Call<T> call;
    const AlgorithmCall<T> at(algorithm, py::none(), net);
    fill(problem, call, net, tasks.theta(), tasks.rows(), at, algorithm.spec.steps);
    const Index size = problem.n_adapted();
    auto adapted =
        tasks.form() == Form::single ? new_array<T>({size}) : new_array<T>({problem.tasks, size});
    Flags diverged(problem.tasks);
    call.task_vectors = adapted.mutable_data();
    call.diverged = diverged.data();
    if (run(problem, call, tasks.threads()) == core::Status::diverged) return py::none();
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
    std::vector<int> every(static_cast<std::size_t>(points));
    std::iota(every.begin(), every.end(), 0);
    problem.trace_points = points;
    call.trace_points = every.data();
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
        py::arg("algorithm"), py::arg("threads"), py::arg("check_finite"),
        "theta_S with the axes of the arguments; None if an argument needs converting or is wrong, "
        "or a task diverges");
  m.def("trace", &trace, py::arg("net"), py::arg("theta"), py::arg("support"),
        py::arg("query").none(true), py::arg("algorithm"), py::arg("rates").none(true),
        py::arg("steps"), py::arg("with_thetas"), py::arg("threads"),
        "(thetas [T, S+1, P] or None, losses [T, S+1], query losses or None, diverged [T])");
}

}  // namespace fomaml_fast_bindings
