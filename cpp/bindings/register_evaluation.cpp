// Predictions, losses, gradients and products with Jacobians and Hessians at given parameters.
#include "bindings.hpp"

namespace fomaml_fast_bindings {

namespace {

template <class T>
struct Request {
  core::Problem problem;
  core::Call<T> call;

  Request(core::Operation operation, const Network& net, const py::array& theta, const Rows& rows) {
    problem.operation = operation;
    problem.net = net.spec;
    problem.layout = net.layout;
    problem.tasks = rows.tasks;
    problem.support = rows.shape_with(loss_for(net, rows));
    call.support = rows.view<T>();
    set_theta(problem, call, theta);
  }
  /// Directions of the parameters: [P], or [tasks, P].
  void set_tangent(const py::array& tangent) {
    call.tangent = data<T>(tangent);
    call.tangent_stride = tangent.ndim() == 2 ? problem.layout.n_params : 0;
  }
  /// One vector of n_L numbers for every row of every task.
  py::array_t<T> new_outputs() {
    auto outputs = new_array<T>({problem.support.total, problem.net.outputs()});
    call.outputs = outputs.mutable_data();
    return outputs;
  }
  /// One vector of P numbers for every task.
  py::array_t<T> new_vectors() {
    auto vectors = new_array<T>({problem.tasks, problem.layout.n_params});
    call.task_vectors = vectors.mutable_data();
    return vectors;
  }
};

py::array predict(const Network& net, const py::array& theta, const Rows& rows, int threads) {
  return dispatch(theta, [&]<class T>(T) -> py::array {
    Request<T> request(core::Operation::predict, net, theta, rows);
    auto outputs = request.new_outputs();
    run(request.problem, request.call, threads);
    return outputs;
  });
}

py::array loss(const Network& net, const py::array& theta, const Rows& rows, int threads) {
  return dispatch(theta, [&]<class T>(T) -> py::array {
    Request<T> request(core::Operation::loss, net, theta, rows);
    auto losses = new_array<T>({rows.tasks});
    request.call.losses = losses.mutable_data();
    run(request.problem, request.call, threads);
    return losses;
  });
}

py::tuple gradient(const Network& net, const py::array& theta, const Rows& rows, int threads) {
  return dispatch(theta, [&]<class T>(T) -> py::tuple {
    Request<T> request(core::Operation::gradient, net, theta, rows);
    auto losses = new_array<T>({rows.tasks});
    auto gradients = request.new_vectors();
    request.call.losses = losses.mutable_data();
    run(request.problem, request.call, threads);
    return py::make_tuple(losses, gradients);
  });
}

/// hvp and gnvp: a tangent in, a vector of every task out.
template <core::Operation kOperation>
py::array curvature_product(const Network& net, const py::array& theta, const Rows& rows,
                            const py::array& tangent, int threads) {
  return dispatch(theta, [&]<class T>(T) -> py::array {
    Request<T> request(kOperation, net, theta, rows);
    request.set_tangent(tangent);
    auto products = request.new_vectors();
    run(request.problem, request.call, threads);
    return products;
  });
}

py::array jvp(const Network& net, const py::array& theta, const Rows& rows,
              const py::array& tangent, int threads) {
  return dispatch(theta, [&]<class T>(T) -> py::array {
    Request<T> request(core::Operation::jvp, net, theta, rows);
    request.set_tangent(tangent);
    auto tangents = request.new_outputs();
    run(request.problem, request.call, threads);
    return tangents;
  });
}

py::array vjp(const Network& net, const py::array& theta, const Rows& rows,
              const py::array& cotangents, int threads) {
  return dispatch(theta, [&]<class T>(T) -> py::array {
    Request<T> request(core::Operation::vjp, net, theta, rows);
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
    Request<T> request(core::Operation::vjp_tangent, net, theta, rows);
    request.set_tangent(tangent);
    request.call.cotangents = data<T>(cotangents);
    request.call.cotangent_tangents = data<T>(cotangent_tangents);
    auto products = request.new_vectors();
    run(request.problem, request.call, threads);
    return products;
  });
}

}  // namespace

void register_evaluation(py::module_& m) {
  m.def("predict", &predict, py::arg("net"), py::arg("theta"), py::arg("rows"), py::arg("threads"));
  m.def("loss", &loss, py::arg("net"), py::arg("theta"), py::arg("rows"), py::arg("threads"));
  m.def("gradient", &gradient, py::arg("net"), py::arg("theta"), py::arg("rows"),
        py::arg("threads"));
  m.def("hvp", &curvature_product<core::Operation::hvp>, py::arg("net"), py::arg("theta"),
        py::arg("rows"), py::arg("tangent"), py::arg("threads"));
  m.def("gnvp", &curvature_product<core::Operation::gnvp>, py::arg("net"), py::arg("theta"),
        py::arg("rows"), py::arg("tangent"), py::arg("threads"));
  m.def("jvp", &jvp, py::arg("net"), py::arg("theta"), py::arg("rows"), py::arg("tangent"),
        py::arg("threads"));
  m.def("vjp", &vjp, py::arg("net"), py::arg("theta"), py::arg("rows"), py::arg("cotangents"),
        py::arg("threads"));
  m.def("vjp_tangent", &vjp_tangent, py::arg("net"), py::arg("theta"), py::arg("rows"),
        py::arg("cotangents"), py::arg("tangent"), py::arg("cotangent_tangents"),
        py::arg("threads"));
}

}  // namespace fomaml_fast_bindings
