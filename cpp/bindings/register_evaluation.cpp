// Predictions, losses, gradients and Hessian-vector products at given parameters.
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
};

py::array predict(const Network& net, const py::array& theta, const Rows& rows, int threads) {
  return dispatch(theta, [&]<class T>(T) -> py::array {
    Request<T> request(core::Operation::predict, net, theta, rows);
    auto outputs = new_array<T>({rows.shape.total, net.spec.outputs()});
    request.call.outputs = outputs.mutable_data();
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
    auto gradients = new_array<T>({rows.tasks, net.layout.n_params});
    request.call.losses = losses.mutable_data();
    request.call.task_vectors = gradients.mutable_data();
    run(request.problem, request.call, threads);
    return py::make_tuple(losses, gradients);
  });
}

py::array hvp(const Network& net, const py::array& theta, const Rows& rows,
              const py::array& tangent, int threads) {
  return dispatch(theta, [&]<class T>(T) -> py::array {
    Request<T> request(core::Operation::hvp, net, theta, rows);
    auto products = new_array<T>({rows.tasks, net.layout.n_params});
    request.call.tangent = data<T>(tangent);
    request.call.tangent_stride = tangent.ndim() == 2 ? net.layout.n_params : 0;
    request.call.task_vectors = products.mutable_data();
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
  m.def("hvp", &hvp, py::arg("net"), py::arg("theta"), py::arg("rows"), py::arg("tangent"),
        py::arg("threads"));
}

}  // namespace fomaml_fast_bindings
