// One inner step of many tasks and its pullback, for losses that the core does not know: Python
// computes their gradients between the steps.
#include "bindings.hpp"
#include "engines/adapted_of.hpp"

namespace fomaml_fast_bindings {

namespace {

/// What an algorithm adapts of flat vectors, and at which rates.
template <class T>
class FlatAdapted {
 public:
  FlatAdapted(const Network& net, const Algorithm& algorithm, const py::object& rates)
      : algorithm_(algorithm, rates, net) {
    problem_.net = net.spec;
    problem_.layout = net.layout;
    algorithm_.fill(problem_, call_);
    adapted_.emplace(problem_, call_);
  }
  [[nodiscard]] const core::AlgorithmSpec& spec() const { return problem_.algorithm; }
  [[nodiscard]] const core::inner::Adapted<T>& operator*() const { return **adapted_; }
  [[nodiscard]] Index n_rates() const { return problem_.n_rates(); }

 private:
  core::Problem problem_;
  core::Call<T> call_;
  AlgorithmCall<T> algorithm_;
  std::optional<core::FlatAdapted<T>> adapted_;
};

/// The arrays of every task before a step.
template <class T>
struct BeforeAll {
  const T *theta, *anchor, *gradient, *state;
  Index size, states;

  BeforeAll(const py::array& thetas, const py::array& anchor_of_all, const py::array& gradients,
            const py::array& all_states)
      : theta(data<T>(thetas)),
        anchor(data<T>(anchor_of_all)),
        gradient(data<T>(gradients)),
        state(data<T>(all_states)),
        size(thetas.shape(1)),
        states(all_states.shape(1)),
        anchors_(anchor_of_all.ndim() == 2) {}
  [[nodiscard]] core::inner::Before<T> task(Index t) const {
    return {theta + t * size, anchors_ ? anchor + t * size : anchor, gradient + t * size,
            state + t * states * size};
  }

 private:
  bool anchors_;
};

py::tuple inner_step(const Network& net, const Algorithm& algorithm, const py::object& rates, int k,
                     const py::array& thetas, const py::array& anchor, const py::array& gradients,
                     const py::array& states) {
  return dispatch(thetas, [&]<class T>(T) -> py::tuple {
    const FlatAdapted<T> adapted(net, algorithm, rates);
    const BeforeAll<T> before(thetas, anchor, gradients, states);
    const Index tasks = thetas.shape(0), size = before.size;
    auto stepped = new_array<T>({tasks, size});
    auto moved = new_array<T>({tasks, before.states, size});
    T *to = stepped.mutable_data(), *to_state = moved.mutable_data();
    {
      const py::gil_scoped_release release;
      std::copy_n(before.theta, tasks * size, to);  // what does not adapt
      std::copy_n(before.state, tasks * before.states * size, to_state);
      for (Index t = 0; t < tasks; ++t) {
        core::inner::take_step<T>(adapted.spec().inner, *adapted, k, before.task(t), to + t * size,
                                  to_state + t * before.states * size);
      }
    }
    return py::make_tuple(stepped, moved);
  });
}

py::tuple inner_pullback(const Network& net, const Algorithm& algorithm, const py::object& rates,
                         int k, bool exact, const py::array& thetas, const py::array& anchor,
                         const py::array& gradients, const py::array& states,
                         const py::array& co_theta, const py::array& co_states) {
  return dispatch(thetas, [&]<class T>(T) -> py::tuple {
    const FlatAdapted<T> adapted(net, algorithm, rates);
    const BeforeAll<T> before(thetas, anchor, gradients, states);
    const Index tasks = thetas.shape(0), size = before.size, n_rates = adapted.n_rates();
    const bool learns = adapted.spec().learns_rates;
    auto theta = new_array<T>({tasks, size}), gradient = new_array<T>({tasks, size}),
         pull = new_array<T>({tasks, size}), rate = new_array<T>({tasks, n_rates});
    auto state = new_array<T>({tasks, before.states, size});
    T *to_theta = theta.mutable_data(), *to_gradient = gradient.mutable_data(),
      *to_anchor = pull.mutable_data(), *to_rate = rate.mutable_data(),
      *to_state = state.mutable_data();
    {
      const py::gil_scoped_release release;
      std::copy_n(data<T>(co_theta), tasks * size, to_theta);
      std::copy_n(data<T>(co_states), tasks * before.states * size, to_state);
      std::fill_n(to_gradient, tasks * size, T(0));
      std::fill_n(to_anchor, tasks * size, T(0));
      std::fill_n(to_rate, tasks * n_rates, T(0));
      for (Index t = 0; t < tasks; ++t) {
        core::inner::pull_back_step<T>(
            adapted.spec().inner, *adapted, k, before.task(t), exact,
            {to_theta + t * size, to_state + t * before.states * size, to_gradient + t * size,
             to_anchor + t * size, learns ? to_rate + t * n_rates : nullptr});
      }
    }
    return py::make_tuple(theta, state, gradient, pull, rate);
  });
}

}  // namespace

void register_inner(py::module_& m) {
  m.def(
      "inner_states", [](const Algorithm& algorithm) { return algorithm.spec.inner.states(); },
      py::arg("algorithm"), "State vectors per parameter");
  m.def("inner_step", &inner_step, py::arg("net"), py::arg("algorithm"),
        py::arg("rates").none(true), py::arg("k"), py::arg("thetas"), py::arg("anchor"),
        py::arg("gradients"), py::arg("states"),
        "(thetas [T, P], states [T, s, P]) after step k; anchor [P] or [T, P]");
  m.def("inner_pullback", &inner_pullback, py::arg("net"), py::arg("algorithm"),
        py::arg("rates").none(true), py::arg("k"), py::arg("exact"), py::arg("thetas"),
        py::arg("anchor"), py::arg("gradients"), py::arg("states"), py::arg("co_thetas"),
        py::arg("co_states"),
        "Cotangents (of theta_k [T, P], of the states before, of the gradients [T, P], of the "
        "anchor [T, P], of the rates [T, R]); without `exact` only those of the rates move");
}

}  // namespace fomaml_fast_bindings
