// The inner loop for its own sake: adapted parameters, the way there, and losses along it.
#include "api/adaptation.hpp"
#include "arguments.hpp"
#include "hooks.hpp"
#include "rates.hpp"
#include "results.hpp"

#include <numeric>

namespace fomaml_fast_bindings {

namespace {

/// The arguments that adapt and trace share.
struct AdaptationCall {
  py::handle theta, x, y, weights, mask, class_mask, rates, threads, check_finite;
  int steps;  ///< below 0: those of the algorithm
};

/// Calls `body(adaptation, threads)` with an adaptation that was checked and read.
template <class Body>
py::object with_adaptation(const api::Network& net, const AlgorithmObject& algorithm,
                           const AdaptationCall& asked, Body&& body) {
  const Given theta("theta", asked.theta);
  const api::DType dtype = theta->dtype();
  const Given x("x", asked.x, {Role::inputs, dtype, Lists::tasks_and_steps});
  const bool stacked = x->listed || (x->given() && x->array().shape.axes != 2);
  const Lists listed = api::StepAxis::is_in(*x) ? Lists::tasks_and_steps
                       : stacked                ? Lists::tasks
                                                : Lists::none;
  const Given y("y", asked.y, {Role::targets, dtype, listed});
  const Given weights("weights", asked.weights, {Role::numbers, dtype, listed});
  const Given mask("mask", asked.mask, {Role::flags, api::DType::none, listed});
  const Given class_mask("class_mask", asked.class_mask, {Role::flags});
  const GivenRates rates("rates", asked.rates, algorithm, net, dtype);
  const int threads = threads_of(asked.threads);
  api::Adaptation adaptation(
      {.net = &net,
       .algorithm = &algorithm.algorithm,
       .theta = *theta,
       .rows = {.x = *x, .y = *y, .weights = *weights, .mask = *mask, .class_mask = *class_mask},
       .rates = *rates,
       .steps = asked.steps < 0 ? algorithm.algorithm.spec.steps : asked.steps,
       .all_steps = asked.steps < 0,
       .check_finite = flag_of(asked.check_finite, "check_finite")});
  api::Fault fault;
  expect(adaptation.measure(fault), fault);
  CallMemory memory(adaptation.bytes());
  expect(adaptation.read(memory.data(), fault), fault);
  return api::visit_float(dtype, [&]<class T>(T) -> py::object {
    return body(T{}, static_cast<const api::Adaptation&>(adaptation), threads);
  });
}

/// Of the tasks that diverged: raises, or writes their last finite parameters.
template <class T>
void meet_divergence(const api::Adaptation& adaptation, Flags& flags, bool masks, T* adapted,
                     int threads) {
  const std::vector<Index> lost = flags.raised();
  const auto count = static_cast<Index>(lost.size());
  std::vector<std::int32_t> first_bad(lost.size());
  std::vector<T> last(masks ? lost.size() * static_cast<std::size_t>(adaptation.n_adapted()) : 0);
  run(threads, [&](const core::Execution& execution) {
    return adaptation.diagnose(lost.data(), count, first_bad.data(), masks ? last.data() : nullptr,
                               execution);
  });
  if (!masks) {
    throw Diverged{lost, *std::min_element(first_bad.begin(), first_bad.end()), adaptation.tasks()};
  }
  const Index size = adaptation.n_adapted();
  for (Index i = 0; i < count; ++i) {
    std::copy_n(last.data() + i * size, size, adapted + lost[static_cast<std::size_t>(i)] * size);
  }
}

py::object adapt(const api::Network& net, const py::handle& theta, const py::handle& x,
                 const py::handle& y, const py::handle& weights, const py::handle& mask,
                 const py::handle& class_mask, const AlgorithmObject& algorithm,
                 const py::handle& rates, int steps, bool masks, const py::handle& threads,
                 const py::handle& check_finite) {
  const AdaptationCall asked{theta,      x,     y,       weights,      mask,
                             class_mask, rates, threads, check_finite, steps};
  return with_adaptation(
      net, algorithm, asked,
      [&]<class T>(T, const api::Adaptation& adaptation, int workers) -> py::object {
        const Index size = adaptation.n_adapted(), tasks = adaptation.tasks();
        auto adapted = adaptation.single() ? new_array<T>({size}) : new_array<T>({tasks, size});
        T* const to = adapted.mutable_data();
        Flags flags(tasks);
        const bool any = run(workers, [&](const core::Execution& execution) {
          return adaptation.run(to, flags.data(), execution);
        });
        if (any) meet_divergence(adaptation, flags, masks, to, workers);
        if (!masks) return adapted;
        if (adaptation.single()) return py::make_tuple(adapted, flags.data()[0] != 0);
        return py::make_tuple(adapted, flags.array());
      });
}

py::object trace(const api::Network& net, const py::handle& theta, const py::handle& x,
                 const py::handle& y, const py::handle& weights, const py::handle& mask,
                 const py::handle& class_mask, const AlgorithmObject& algorithm,
                 const py::handle& rates, int asked_steps,
                 const std::optional<std::vector<int>>& named, bool masks,
                 const py::handle& threads, const py::handle& check_finite) {
  const AdaptationCall asked{theta,      x,     y,       weights,      mask,
                             class_mask, rates, threads, check_finite, asked_steps};
  return with_adaptation(
      net, algorithm, asked,
      [&]<class T>(T, const api::Adaptation& adaptation, int workers) -> py::object {
        const Index size = adaptation.n_adapted(), tasks = adaptation.tasks();
        const int steps = adaptation.steps();
        const Index n_points = named ? static_cast<Index>(named->size()) : Index{1} + steps;
        const bool single = adaptation.single();
        auto thetas =
            single ? new_array<T>({n_points, size}) : new_array<T>({tasks, n_points, size});
        auto losses = single ? new_array<T>({steps + 1}) : new_array<T>({tasks, steps + 1});
        // After the arrays, whose size is what memory ends at.
        std::vector<int> every(named ? 0 : static_cast<std::size_t>(n_points));
        std::iota(every.begin(), every.end(), 0);
        const api::Trace<T> to{.points = named ? named->data() : every.data(),
                               .n_points = n_points,
                               .thetas = thetas.mutable_data(),
                               .losses = losses.mutable_data()};
        Flags flags(tasks);
        const bool any = run(workers, [&](const core::Execution& execution) {
          return adaptation.trace_finite(to, flags.data(), execution);
        });
        if (any && !masks) meet_divergence<T>(adaptation, flags, false, nullptr, workers);
        py::object diverged = flags.array();
        if (single) diverged = py::bool_(flags.data()[0] != 0);
        return py::make_tuple(thetas, losses, diverged);
      });
}

/// Calls `body(adaptation, threads)` with the adaptation to a batch's support sets, checked.
template <class Body>
py::object with_batch(const api::Network& net, const py::handle& theta,
                      const ExamplesObject& support, const ExamplesObject& query,
                      const AlgorithmObject& algorithm, const py::handle& rates, int steps,
                      const py::handle& threads, const py::handle& check_finite, Body&& body) {
  const Given of_theta("theta", theta);
  const GivenRates of_rates("rates", rates, algorithm, net, of_theta->dtype());
  const int workers = threads_of(threads);
  api::Adaptation adaptation({.net = &net,
                              .algorithm = &algorithm.algorithm,
                              .theta = *of_theta,
                              .support = &support.examples,
                              .query = &query.examples,
                              .rates = *of_rates,
                              .steps = steps,
                              .theta_per_task = false,
                              .check_finite = flag_of(check_finite, "check_finite")});
  api::Fault fault;
  expect(adaptation.measure(fault), fault);
  expect(adaptation.read(nullptr, fault), fault);
  return api::visit_float(adaptation.dtype(), [&]<class T>(T) -> py::object {
    return body(T{}, static_cast<const api::Adaptation&>(adaptation), workers);
  });
}

py::object evaluate(const api::Network& net, const py::handle& theta, const ExamplesObject& support,
                    const ExamplesObject& query, const AlgorithmObject& algorithm,
                    const py::handle& rates, const std::vector<int>& points, bool wants_thetas,
                    const py::handle& threads, const py::handle& check_finite) {
  return with_batch(
      net, theta, support, query, algorithm, rates, points.back(), threads, check_finite,
      [&]<class T>(T, const api::Adaptation& adaptation, int workers) -> py::object {
        const auto n_points = static_cast<Index>(points.size());
        auto losses = new_array<T>({adaptation.tasks(), n_points});
        auto lost = new_array<bool>({adaptation.tasks(), n_points});
        T* const to = losses.mutable_data();
        T* thetas_to = nullptr;
        py::object thetas = py::none();
        if (wants_thetas) {
          auto array = new_array<T>({adaptation.tasks(), n_points, adaptation.n_adapted()});
          thetas_to = array.mutable_data();
          thetas = std::move(array);
        }
        auto* const flags = reinterpret_cast<std::uint8_t*>(lost.mutable_data());
        run(workers, [&](const core::Execution& execution) {
          return adaptation.evaluate(points.data(), n_points, to, thetas_to, flags, execution);
        });
        return py::make_tuple(losses, lost, thetas);
      });
}

/// Means and standard deviations of a batch's query rows, whatever rows of other lengths follow.
py::object predictive(const api::Network& net, const py::handle& theta,
                      const ExamplesObject& support, const ExamplesObject& query,
                      const AlgorithmObject& algorithm, const py::handle& rates, int steps,
                      const py::handle& threads, const py::handle& check_finite) {
  return with_batch(net, theta, support, query, algorithm, rates, steps, threads, check_finite,
                    [&]<class T>(T, const api::Adaptation& adaptation, int workers) -> py::object {
                      const api::Examples& rows = query.examples;
                      const Index total =
                          rows.shared ? adaptation.tasks() * rows.rows() : rows.rows();
                      auto means = new_array<T>({total, net.spec.outputs()});
                      auto deviations = new_array<T>({total, net.spec.outputs()});
                      T *const to = means.mutable_data(), *const spread = deviations.mutable_data();
                      Flags flags(adaptation.tasks());
                      run(workers, [&](const core::Execution& execution) {
                        return adaptation.predict_query(to, spread, flags.data(), execution);
                      });
                      return py::make_tuple(means, deviations, flags.array());
                    });
}

}  // namespace

void register_adaptation(py::module_& m) {
  m.def("adapt", &adapt, py::arg("net"), py::arg("theta"), py::arg("x"), py::arg("y"),
        py::arg("weights"), py::arg("mask"), py::arg("class_mask"), py::arg("algorithm"),
        py::arg("rates"), py::arg("steps"), py::arg("masks"), py::arg("threads"),
        py::arg("check_finite"), "theta_S; with `masks`, (theta_S, diverged)");
  m.def("trace", &trace, py::arg("net"), py::arg("theta"), py::arg("x"), py::arg("y"),
        py::arg("weights"), py::arg("mask"), py::arg("class_mask"), py::arg("algorithm"),
        py::arg("rates"), py::arg("steps"), py::arg("points"), py::arg("masks"), py::arg("threads"),
        py::arg("check_finite"), "(thetas at the points, losses at all steps, diverged)");
  m.def("evaluate", &evaluate, py::arg("net"), py::arg("theta"), py::arg("support"),
        py::arg("query"), py::arg("algorithm"), py::arg("rates"), py::arg("points"),
        py::arg("wants_thetas"), py::arg("threads"), py::arg("check_finite"),
        "(query losses [T, points], lost [T, points], thetas [T, points, n_adapted] or None)");
  m.def("predictive", &predictive, py::arg("net"), py::arg("theta"), py::arg("support"),
        py::arg("query"), py::arg("algorithm"), py::arg("rates"), py::arg("steps"),
        py::arg("threads"), py::arg("check_finite"),
        "(means [query rows, n_L], standard deviations, diverged [T])");
}

}  // namespace fomaml_fast_bindings
