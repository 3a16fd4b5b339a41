// One inner step of many tasks and its pullback, for losses that Python computes between the steps.
#include "api/inner_steps.hpp"
#include "arguments.hpp"
#include "results.hpp"

namespace fomaml_fast_bindings {

namespace {

template <class T>
api::InnerPoint<T> point_of(int k, const py::array& thetas, const py::array& anchors,
                            const py::array& gradients, const py::array& states) {
  const auto data = [](const py::array& array) { return static_cast<const T*>(array.data()); };
  return {thetas.shape(0), k, data(thetas), data(anchors), data(gradients), data(states)};
}

/// Calls `body(T{})` with the scalar type of an array.
template <class Body>
auto dispatch(const py::array& array, Body&& body) {
  return array.itemsize() == sizeof(double) ? body(double{}) : body(float{});
}

py::tuple inner_step(const api::Network& net, const AlgorithmObject& algorithm,
                     const py::object& rates_object, int k, const py::array& thetas,
                     const py::array& anchors, const py::array& gradients,
                     const py::array& states) {
  const Given rates("rates", rates_object);
  return dispatch(thetas, [&]<class T>(T) -> py::tuple {
    auto stepped = new_array<T>({thetas.shape(0), thetas.shape(1)});
    auto moved = new_array<T>({states.shape(0), states.shape(1), states.shape(2)});
    const auto point = point_of<T>(k, thetas, anchors, gradients, states);
    T *const to = stepped.mutable_data(), *const to_states = moved.mutable_data();
    {
      const py::gil_scoped_release release;
      api::inner_step(algorithm.algorithm, net, *rates, point, to, to_states);
    }
    return py::make_tuple(stepped, moved);
  });
}

py::tuple inner_pullback(const api::Network& net, const AlgorithmObject& algorithm,
                         const py::object& rates_object, int k, bool exact, const py::array& thetas,
                         const py::array& anchors, const py::array& gradients,
                         const py::array& states, const py::array& co_thetas,
                         const py::array& co_states) {
  const Given rates("rates", rates_object);
  return dispatch(thetas, [&]<class T>(T) -> py::tuple {
    const Index tasks = thetas.shape(0), size = thetas.shape(1);
    py::array_t<T> theta = co_thetas.attr("copy")(), state = co_states.attr("copy")();
    auto gradient = new_array<T>({tasks, size}), anchor = new_array<T>({tasks, size});
    auto rate = new_array<T>({tasks, api::rate_cotangents<T>(algorithm.algorithm, net, *rates)});
    const auto point = point_of<T>(k, thetas, anchors, gradients, states);
    const api::InnerCotangents<T> cotangents{theta.mutable_data(), state.mutable_data(),
                                             gradient.mutable_data(), anchor.mutable_data(),
                                             rate.mutable_data()};
    {
      const py::gil_scoped_release release;
      api::inner_pullback(algorithm.algorithm, net, *rates, point, exact, cotangents);
    }
    return py::make_tuple(theta, state, gradient, anchor, rate);
  });
}

}  // namespace

void register_inner(py::module_& m) {
  m.def(
      "inner_states",
      [](const AlgorithmObject& algorithm) { return algorithm.algorithm.spec.inner.states(); },
      py::arg("algorithm"), "State vectors per parameter");
  m.def("inner_step", &inner_step, py::arg("net"), py::arg("algorithm"),
        py::arg("rates").none(true), py::arg("k"), py::arg("thetas"), py::arg("anchors"),
        py::arg("gradients"), py::arg("states"), "(thetas [T, P], states [T, s, P]) after step k");
  m.def("inner_pullback", &inner_pullback, py::arg("net"), py::arg("algorithm"),
        py::arg("rates").none(true), py::arg("k"), py::arg("exact"), py::arg("thetas"),
        py::arg("anchors"), py::arg("gradients"), py::arg("states"), py::arg("co_thetas"),
        py::arg("co_states"),
        "Cotangents (of theta_k [T, P], of the states before, of the gradients [T, P], of the "
        "anchor [T, P], of the rates [T, R]); without `exact` only those of the rates move");
}

}  // namespace fomaml_fast_bindings
