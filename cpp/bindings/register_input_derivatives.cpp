// Derivatives over the inputs, and jets: outputs with their derivatives along directions of inputs.
#include "api/directions.hpp"
#include "arguments.hpp"
#include "evaluation_call.hpp"
#include "hooks.hpp"

namespace fomaml_fast_bindings {

namespace {

/// Directions that fit a network, in one array of that dtype.
py::object checked_directions(const api::Network& net, const py::handle& value,
                              const std::string& dtype) {
  const api::DType wanted = dtype == "float64" ? api::DType::float64 : api::DType::float32;
  const Given directions("directions", value, {Role::numbers, wanted});
  api::Fault fault;
  expect(api::check_directions(*directions, net, wanted, fault), fault);
  return directions.object();
}

void define_over_inputs(py::module_& m) {
  m.def(
      "input_vjp",
      [](const api::Network& net, const py::handle& theta, const py::handle& x,
         const py::handle& cotangent, const py::handle& threads, const py::handle& check_finite) {
        return evaluate_call(net, {.operation = Operation::input_vjp,
                                   .theta = theta,
                                   .x = x,
                                   .threads = threads,
                                   .check_finite = check_finite,
                                   .cotangents = cotangent});
      },
      py::arg("net"), py::arg("theta"), py::arg("x"), py::arg("cotangent"), py::arg("threads"),
      py::arg("check_finite"));
  m.def(
      "input_jvp",
      [](const api::Network& net, const py::handle& theta, const py::handle& x,
         const py::handle& tangent, const py::handle& threads, const py::handle& check_finite) {
        return evaluate_call(net, {.operation = Operation::input_jvp,
                                   .theta = theta,
                                   .x = x,
                                   .threads = threads,
                                   .check_finite = check_finite,
                                   .input_tangents = tangent});
      },
      py::arg("net"), py::arg("theta"), py::arg("x"), py::arg("tangent"), py::arg("threads"),
      py::arg("check_finite"));
}

void define_jets(py::module_& m) {
  m.def("directions", &checked_directions, py::arg("net"), py::arg("directions"), py::arg("dtype"));
  m.def(
      "jet",
      [](const api::Network& net, const py::handle& theta, const py::handle& x,
         const py::handle& directions, int order, const py::handle& threads,
         const py::handle& check_finite) {
        return evaluate_call(net, {.operation = Operation::jet,
                                   .theta = theta,
                                   .x = x,
                                   .threads = threads,
                                   .check_finite = check_finite,
                                   .directions = directions,
                                   .order = order});
      },
      py::arg("net"), py::arg("theta"), py::arg("x"), py::arg("directions"), py::arg("order"),
      py::arg("threads"), py::arg("check_finite"),
      "[rows, streams * n_L]: outputs, first derivatives, second ones");
  m.def(
      "jet_jvp",
      [](const api::Network& net, const py::handle& theta, const py::handle& x,
         const py::handle& directions, int order, const py::handle& v, const py::handle& threads,
         const py::handle& check_finite) {
        return evaluate_call(net, {.operation = Operation::jet_jvp,
                                   .theta = theta,
                                   .x = x,
                                   .threads = threads,
                                   .check_finite = check_finite,
                                   .tangent = v,
                                   .directions = directions,
                                   .order = order});
      },
      py::arg("net"), py::arg("theta"), py::arg("x"), py::arg("directions"), py::arg("order"),
      py::arg("v"), py::arg("threads"), py::arg("check_finite"));
  m.def(
      "jet_vjp",
      [](const api::Network& net, const py::handle& theta, const py::handle& x,
         const py::handle& directions, int order, const py::handle& cotangent,
         const py::handle& threads, const py::handle& check_finite) {
        return evaluate_call(net, {.operation = Operation::jet_vjp,
                                   .theta = theta,
                                   .x = x,
                                   .threads = threads,
                                   .check_finite = check_finite,
                                   .cotangents = cotangent,
                                   .directions = directions,
                                   .order = order});
      },
      py::arg("net"), py::arg("theta"), py::arg("x"), py::arg("directions"), py::arg("order"),
      py::arg("cotangent"), py::arg("threads"), py::arg("check_finite"));
  m.def(
      "jet_vjp_tangent",
      [](const api::Network& net, const py::handle& theta, const py::handle& x,
         const py::handle& directions, int order, const py::handle& cotangent, const py::handle& v,
         const py::handle& cotangent_tangent, const py::handle& threads,
         const py::handle& check_finite) {
        return evaluate_call(net, {.operation = Operation::jet_vjp_tangent,
                                   .theta = theta,
                                   .x = x,
                                   .threads = threads,
                                   .check_finite = check_finite,
                                   .tangent = v,
                                   .cotangents = cotangent,
                                   .cotangent_tangents = cotangent_tangent,
                                   .directions = directions,
                                   .order = order});
      },
      py::arg("net"), py::arg("theta"), py::arg("x"), py::arg("directions"), py::arg("order"),
      py::arg("cotangent"), py::arg("v"), py::arg("cotangent_tangent"), py::arg("threads"),
      py::arg("check_finite"), "as vjp_tangent, of jets");
}

}  // namespace

void register_input_derivatives(py::module_& m) {
  define_over_inputs(m);
  define_jets(m);
}

}  // namespace fomaml_fast_bindings
