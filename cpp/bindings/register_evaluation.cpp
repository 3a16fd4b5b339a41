// Predictions, losses, gradients and products with Jacobians and Hessians at given parameters.
//
// Each comes twice: on rows that Python has checked, and on plain arrays that are checked here, for
// then a call costs no more than what it computes.
#include "plain_tasks.hpp"

namespace fomaml_fast_bindings {

namespace {

template <class T>
struct Request {
  core::Problem problem;
  core::Call<T> call;
  Form form;

  Request(core::Operation operation, const Network& net, const py::array& theta, const Rows& rows,
          Form results)
      : problem(problem_of(net, operation)), form(results) {
    problem.tasks = rows.tasks;
    problem.support = rows.shape_with(loss_for(net, rows));
    call.support = rows.view<T>();
    set_theta(problem, call, theta);
  }
  /// Directions of the parameters: [P] or [1, P] for all tasks, or [tasks, P].
  void set_tangent(const py::array& tangent) {
    call.tangent = data<T>(tangent);
    call.tangent_stride = per_task(tangent) ? problem.layout.n_params : 0;
  }
  /// One vector of n_L numbers for every row of every task.
  py::array_t<T> new_outputs() {
    const Index total = problem.support.total, columns = problem.net.outputs();
    auto outputs = form == Form::stacked
                       ? new_array<T>({problem.tasks, total / problem.tasks, columns})
                       : new_array<T>({total, columns});
    call.outputs = outputs.mutable_data();
    return outputs;
  }
  /// One vector of P numbers for every task.
  py::array_t<T> new_vectors() {
    const Index n_params = problem.layout.n_params;
    auto vectors =
        form == Form::single ? new_array<T>({n_params}) : new_array<T>({problem.tasks, n_params});
    call.task_vectors = vectors.mutable_data();
    return vectors;
  }
};

/// One loss for every task: an array, or a number where there is no task axis.
template <class T>
class Losses {
 public:
  explicit Losses(Request<T>& request) {
    request.call.losses = &one_;
    if (request.form == Form::single) return;
    auto array = new_array<T>({request.problem.tasks});
    request.call.losses = array.mutable_data();
    all_ = std::move(array);
  }
  [[nodiscard]] py::object get() const {
    return all_ ? all_ : py::float_(static_cast<double>(one_));
  }

 private:
  T one_ = 0;
  py::object all_;
};

py::object predict(const Network& net, const py::array& theta, const Rows& rows, int threads,
                   Form form) {
  return dispatch(theta, [&]<class T>(T) -> py::object {
    Request<T> request(core::Operation::predict, net, theta, rows, form);
    auto outputs = request.new_outputs();
    run(request.problem, request.call, threads);
    return outputs;
  });
}

py::object loss(const Network& net, const py::array& theta, const Rows& rows, int threads,
                Form form) {
  return dispatch(theta, [&]<class T>(T) -> py::object {
    Request<T> request(core::Operation::loss, net, theta, rows, form);
    const Losses<T> losses(request);
    run(request.problem, request.call, threads);
    return losses.get();
  });
}

py::object gradient(const Network& net, const py::array& theta, const Rows& rows, int threads,
                    Form form) {
  return dispatch(theta, [&]<class T>(T) -> py::object {
    Request<T> request(core::Operation::gradient, net, theta, rows, form);
    const Losses<T> losses(request);
    auto gradients = request.new_vectors();
    run(request.problem, request.call, threads);
    return py::make_tuple(losses.get(), gradients);
  });
}

/// hvp and gnvp: a tangent in, a vector of every task out.
template <core::Operation kOperation>
py::object curvature_product(const Network& net, const py::array& theta, const Rows& rows,
                             const py::array& tangent, int threads, Form form) {
  return dispatch(theta, [&]<class T>(T) -> py::object {
    Request<T> request(kOperation, net, theta, rows, form);
    request.set_tangent(tangent);
    auto products = request.new_vectors();
    run(request.problem, request.call, threads);
    return products;
  });
}

py::object jvp(const Network& net, const py::array& theta, const Rows& rows,
               const py::array& tangent, int threads, Form form) {
  return dispatch(theta, [&]<class T>(T) -> py::object {
    Request<T> request(core::Operation::jvp, net, theta, rows, form);
    request.set_tangent(tangent);
    auto tangents = request.new_outputs();
    run(request.problem, request.call, threads);
    return tangents;
  });
}

py::object vjp(const Network& net, const py::array& theta, const Rows& rows,
               const py::array& cotangents, int threads, Form form) {
  return dispatch(theta, [&]<class T>(T) -> py::object {
    Request<T> request(core::Operation::vjp, net, theta, rows, form);
    request.call.cotangents = data<T>(cotangents);
    auto products = request.new_vectors();
    run(request.problem, request.call, threads);
    return products;
  });
}

py::array vjp_tangent(const Network& net, const py::array& theta, const Rows& rows,
                      const py::array& cotangents, const py::array& tangent,
                      const py::array& cotangent_tangents, int threads) {
  return dispatch(theta, [&]<class T>(T) -> py::array {
    Request<T> request(core::Operation::vjp_tangent, net, theta, rows, Form::flat);
    request.set_tangent(tangent);
    request.call.cotangents = data<T>(cotangents);
    request.call.cotangent_tangents = data<T>(cotangent_tangents);
    auto products = request.new_vectors();
    run(request.problem, request.call, threads);
    return products;
  });
}

/// What takes theta and rows.
template <auto kEvaluate>
void define(py::module_& m, const char* name) {
  m.def(
      name,
      [](const Network& net, const py::array& theta, const Rows& rows, int threads) {
        return kEvaluate(net, theta, rows, threads, Form::flat);
      },
      py::arg("net"), py::arg("theta"), py::arg("rows"), py::arg("threads"));
}

/// What takes one more array.
template <auto kEvaluate>
void define_with(py::module_& m, const char* name, const char* vectors) {
  m.def(
      name,
      [](const Network& net, const py::array& theta, const Rows& rows, const py::array& array,
         int threads) { return kEvaluate(net, theta, rows, array, threads, Form::flat); },
      py::arg("net"), py::arg("theta"), py::arg("rows"), py::arg(vectors), py::arg("threads"));
}

constexpr const char* kPlainDoc =
    "with the axes of the arguments; None if an argument needs converting, or is wrong";

/// Loss and gradient.
template <auto kEvaluate>
void define_plain(py::module_& m, const char* name) {
  m.def(
      name,
      [](const Network& net, const py::handle& theta, const py::handle& x, const py::handle& y,
         const py::handle& threads, bool check_finite) -> py::object {
        PlainTasks tasks;
        if (!tasks.read(net, {.theta = theta,
                              .x = x,
                              .y = y,
                              .threads = threads,
                              .check_finite = check_finite})) {
          return py::none();
        }
        return kEvaluate(net, tasks.theta(), tasks.rows(), tasks.threads(), tasks.form());
      },
      py::arg("net"), py::arg("theta"), py::arg("x"), py::arg("y"), py::arg("threads"),
      py::arg("check_finite"), kPlainDoc);
}

/// Products with the curvature of the loss.
template <auto kEvaluate>
void define_plain_product(py::module_& m, const char* name) {
  m.def(
      name,
      [](const Network& net, const py::handle& theta, const py::handle& x, const py::handle& y,
         const py::handle& tangent, const py::handle& threads, bool check_finite) -> py::object {
        PlainTasks tasks;
        if (!tasks.read(net, {.theta = theta,
                              .x = x,
                              .y = y,
                              .tangent = tangent,
                              .threads = threads,
                              .check_finite = check_finite})) {
          return py::none();
        }
        return kEvaluate(net, tasks.theta(), tasks.rows(), tasks.tangent(), tasks.threads(),
                         tasks.form());
      },
      py::arg("net"), py::arg("theta"), py::arg("x"), py::arg("y"), py::arg("tangent"),
      py::arg("threads"), py::arg("check_finite"), kPlainDoc);
}

py::object predict_plain(const Network& net, const py::handle& theta, const py::handle& x,
                         const py::handle& threads, bool check_finite) {
  PlainTasks tasks;
  if (!tasks.read(net,
                  {.theta = theta, .x = x, .threads = threads, .check_finite = check_finite})) {
    return py::none();
  }
  return predict(net, tasks.theta(), tasks.rows(), tasks.threads(), tasks.form());
}

py::object jvp_plain(const Network& net, const py::handle& theta, const py::handle& x,
                     const py::handle& tangent, const py::handle& threads, bool check_finite) {
  PlainTasks tasks;
  if (!tasks.read(net, {.theta = theta,
                        .x = x,
                        .tangent = tangent,
                        .threads = threads,
                        .check_finite = check_finite})) {
    return py::none();
  }
  return jvp(net, tasks.theta(), tasks.rows(), tasks.tangent(), tasks.threads(), tasks.form());
}

py::object vjp_plain(const Network& net, const py::handle& theta, const py::handle& x,
                     const py::handle& cotangents, const py::handle& threads, bool check_finite) {
  PlainTasks tasks;
  if (!tasks.read(net, {.theta = theta,
                        .x = x,
                        .cotangents = cotangents,
                        .threads = threads,
                        .check_finite = check_finite})) {
    return py::none();
  }
  return vjp(net, tasks.theta(), tasks.rows(), tasks.cotangents(), tasks.threads(), tasks.form());
}

}  // namespace

void register_evaluation(py::module_& m) {
  constexpr auto kHvp = &curvature_product<core::Operation::hvp>;
  constexpr auto kGnvp = &curvature_product<core::Operation::gnvp>;
  define<&predict>(m, "predict");
  define<&loss>(m, "loss");
  define<&gradient>(m, "gradient");
  define_with<kHvp>(m, "hvp", "tangent");
  define_with<kGnvp>(m, "gnvp", "tangent");
  define_with<&jvp>(m, "jvp", "tangent");
  define_with<&vjp>(m, "vjp", "cotangents");
  m.def("vjp_tangent", &vjp_tangent, py::arg("net"), py::arg("theta"), py::arg("rows"),
        py::arg("cotangents"), py::arg("tangent"), py::arg("cotangent_tangents"),
        py::arg("threads"));
  define_plain<&loss>(m, "loss_plain");
  define_plain<&gradient>(m, "gradient_plain");
  define_plain_product<kHvp>(m, "hvp_plain");
  define_plain_product<kGnvp>(m, "gnvp_plain");
  m.def("predict_plain", &predict_plain, py::arg("net"), py::arg("theta"), py::arg("x"),
        py::arg("threads"), py::arg("check_finite"), kPlainDoc);
  m.def("jvp_plain", &jvp_plain, py::arg("net"), py::arg("theta"), py::arg("x"), py::arg("tangent"),
        py::arg("threads"), py::arg("check_finite"), kPlainDoc);
  m.def("vjp_plain", &vjp_plain, py::arg("net"), py::arg("theta"), py::arg("x"),
        py::arg("cotangents"), py::arg("threads"), py::arg("check_finite"), kPlainDoc);
}

}  // namespace fomaml_fast_bindings
