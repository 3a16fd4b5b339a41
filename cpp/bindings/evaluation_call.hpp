// One evaluation at given parameters: what Python passed, and what it gets.
#pragma once

#include "api/evaluation.hpp"
#include "bindings.hpp"

namespace fomaml_fast_bindings {

using core::Operation;

/// What Python passed; empty handles where the operation takes none.
struct EvaluationCall {
  Operation operation;
  py::handle theta, x, threads, check_finite;
  py::handle y{}, weights{}, mask{}, class_mask{}, context{};
  py::handle tangent{}, cotangents{}, cotangent_tangents{}, input_tangents{};
  py::handle directions{};
  int order = 0;
};

py::object evaluate_call(const api::Network& net, const EvaluationCall& asked);

}  // namespace fomaml_fast_bindings
