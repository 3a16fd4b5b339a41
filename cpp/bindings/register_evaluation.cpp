// Predictions, losses, gradients and products with Jacobians and Hessians at given parameters.
#include "evaluation_call.hpp"

namespace fomaml_fast_bindings {

namespace {

template <Operation kOperation>
void define_of_targets(py::module_& m, const char* name) {
  m.def(
      name,
      [](const api::Network& net, const py::handle& theta, const py::handle& x, const py::handle& y,
         const py::handle& weights, const py::handle& mask, const py::handle& class_mask,
         const py::handle& threads, const py::handle& check_finite) {
        return evaluate_call(net, {.operation = kOperation,
                                   .theta = theta,
                                   .x = x,
                                   .threads = threads,
                                   .check_finite = check_finite,
                                   .y = y,
                                   .weights = weights,
                                   .mask = mask,
                                   .class_mask = class_mask});
      },
      py::arg("net"), py::arg("theta"), py::arg("x"), py::arg("y"), py::arg("weights"),
      py::arg("mask"), py::arg("class_mask"), py::arg("threads"), py::arg("check_finite"));
}

template <Operation kOperation>
void define_curvature_product(py::module_& m, const char* name) {
  m.def(
      name,
      [](const api::Network& net, const py::handle& theta, const py::handle& x, const py::handle& y,
         const py::handle& v, const py::handle& weights, const py::handle& mask,
         const py::handle& class_mask, const py::handle& threads, const py::handle& check_finite) {
        return evaluate_call(net, {.operation = kOperation,
                                   .theta = theta,
                                   .x = x,
                                   .threads = threads,
                                   .check_finite = check_finite,
                                   .y = y,
                                   .weights = weights,
                                   .mask = mask,
                                   .class_mask = class_mask,
                                   .tangent = v});
      },
      py::arg("net"), py::arg("theta"), py::arg("x"), py::arg("y"), py::arg("v"),
      py::arg("weights"), py::arg("mask"), py::arg("class_mask"), py::arg("threads"),
      py::arg("check_finite"));
}

}  // namespace

void register_evaluation(py::module_& m) {
  define_of_targets<Operation::loss>(m, "loss");
  define_of_targets<Operation::gradient>(m, "gradient");
  define_curvature_product<Operation::hvp>(m, "hvp");
  define_curvature_product<Operation::gnvp>(m, "gnvp");
  m.def(
      "predict",
      [](const api::Network& net, const py::handle& theta, const py::handle& x,
         const py::handle& context, const py::handle& threads, const py::handle& check_finite) {
        return evaluate_call(net, {.operation = Operation::predict,
                                   .theta = theta,
                                   .x = x,
                                   .threads = threads,
                                   .check_finite = check_finite,
                                   .context = context});
      },
      py::arg("net"), py::arg("theta"), py::arg("x"), py::arg("context"), py::arg("threads"),
      py::arg("check_finite"));
  m.def(
      "jvp",
      [](const api::Network& net, const py::handle& theta, const py::handle& x, const py::handle& v,
         const py::handle& threads, const py::handle& check_finite) {
        return evaluate_call(net, {.operation = Operation::jvp,
                                   .theta = theta,
                                   .x = x,
                                   .threads = threads,
                                   .check_finite = check_finite,
                                   .tangent = v});
      },
      py::arg("net"), py::arg("theta"), py::arg("x"), py::arg("v"), py::arg("threads"),
      py::arg("check_finite"));
  m.def(
      "vjp",
      [](const api::Network& net, const py::handle& theta, const py::handle& x,
         const py::handle& cotangent, const py::handle& threads, const py::handle& check_finite) {
        return evaluate_call(net, {.operation = Operation::vjp,
                                   .theta = theta,
                                   .x = x,
                                   .threads = threads,
                                   .check_finite = check_finite,
                                   .cotangents = cotangent});
      },
      py::arg("net"), py::arg("theta"), py::arg("x"), py::arg("cotangent"), py::arg("threads"),
      py::arg("check_finite"));
  m.def(
      "vjp_tangent",
      [](const api::Network& net, const py::handle& theta, const py::handle& x,
         const py::handle& cotangent, const py::handle& v, const py::handle& cotangent_tangent,
         const py::handle& threads, const py::handle& check_finite) {
        return evaluate_call(net, {.operation = Operation::vjp_tangent,
                                   .theta = theta,
                                   .x = x,
                                   .threads = threads,
                                   .check_finite = check_finite,
                                   .tangent = v,
                                   .cotangents = cotangent,
                                   .cotangent_tangents = cotangent_tangent});
      },
      py::arg("net"), py::arg("theta"), py::arg("x"), py::arg("cotangent"), py::arg("v"),
      py::arg("cotangent_tangent"), py::arg("threads"), py::arg("check_finite"),
      "J'c' + (dJ/dtheta . v)'c: the derivative of J'c along v, where c has the tangent c'");
}

}  // namespace fomaml_fast_bindings
