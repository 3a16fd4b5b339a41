// The inner loop of many learners in one call: adapted parameters, and losses along the way.
#include "api/adaptation.hpp"
#include "learners.hpp"

namespace fomaml_fast_bindings {

namespace {

/// One adaptation a learner, checked.
class Adaptations {
 public:
  explicit Adaptations(Index learners) { all_.reserve(static_cast<std::size_t>(learners)); }
  void add(const api::AdaptationArguments& arguments) {
    api::Fault fault;
    fault.learner = static_cast<Index>(all_.size());
    api::Adaptation& added = all_.emplace_back(arguments);
    expect(added.measure(fault) && added.read(nullptr, fault), fault);
    fault.reason = api::Reason::learner_tasks;
    fault.count = tasks();
    fault.got = added.tasks();
    expect(added.tasks() == tasks(), fault);
    fault.reason = api::Reason::learner_algorithm;
    fault.text = "what adapts";
    expect(added.n_adapted() == all_[0].n_adapted(), fault);
  }
  [[nodiscard]] const api::Adaptation& operator[](Index learner) const {
    return all_[static_cast<std::size_t>(learner)];
  }
  [[nodiscard]] Index tasks() const { return all_[0].tasks(); }

 private:
  std::vector<api::Adaptation> all_;
};

/// Runs one learner; of the tasks that diverged, their first bad step and, in place of the adapted
/// parameters, the last that were finite.
template <class T>
core::Status adapt_one(const api::Adaptation& adaptation, T* adapted, std::uint8_t* flags,
                       int& first_bad_step, const core::Execution& execution) {
  const core::Status status = adaptation.run(adapted, flags, execution);
  if (status != core::Status::diverged) return status;
  const std::vector<Index> lost = flagged(flags, adaptation.tasks());
  const Index size = adaptation.n_adapted();
  std::vector<std::int32_t> first_bad(lost.size());
  std::vector<T> last(lost.size() * static_cast<std::size_t>(size));
  const core::Status found = adaptation.diagnose(lost.data(), static_cast<Index>(lost.size()),
                                                 first_bad.data(), last.data(), execution);
  if (found != core::Status::ok) return found;
  first_bad_step = *std::min_element(first_bad.begin(), first_bad.end());
  const T* from = last.data();
  for (const Index task : lost) {
    std::copy_n(from, size, adapted + task * size);
    from += size;
  }
  return core::Status::diverged;
}

py::object adapt_of_learners(const api::Network& net, const py::handle& theta_object,
                             const ExamplesObject& rows,
                             const std::vector<AlgorithmObject*>& algorithms,
                             const py::handle& rates_object, int steps, bool masks,
                             const py::handle& threads, const py::handle& check_finite) {
  const Given whole("theta", theta_object);
  const Index learners = count_learners(*whole, net, true);
  const Cut theta(*whole, learners, "theta");
  const RatesOfLearners rates("rates", rates_object, *whole, algorithms, net);
  const int workers = threads_of(threads);
  const bool checks = flag_of(check_finite, "check_finite");
  Adaptations adaptations(learners);
  for (Index r = 0; r < learners; ++r) {
    const api::Algorithm& algorithm = item_of(algorithms, r).algorithm;
    adaptations.add({.net = &net,
                     .algorithm = &algorithm,
                     .theta = theta[r],
                     .support = &rows.examples,
                     .rates = rates[r],
                     .steps = steps < 0 ? algorithm.spec.steps : steps,
                     .all_steps = steps < 0,
                     .check_finite = checks});
  }
  return api::visit_float(whole->dtype(), [&]<class T>(T) -> py::object {
    const Index tasks = adaptations.tasks(), size = adaptations[0].n_adapted();
    auto adapted = new_array<T>({learners, tasks, size});
    auto flags = new_array<bool>({learners, tasks});
    T* const to = adapted.mutable_data();
    auto* const lost = reinterpret_cast<std::uint8_t*>(flags.mutable_data());
    std::vector<int> first_bad(static_cast<std::size_t>(learners));
    const std::vector<core::Status> ended =
        run_learners(learners, adaptations[0].problem<T>(), workers,
                     [&](Index r, const core::Execution& execution) {
                       return adapt_one(adaptations[r], to + r * tasks * size, lost + r * tasks,
                                        first_bad[static_cast<std::size_t>(r)], execution);
                     });
    if (masks) return py::make_tuple(adapted, flags);
    const std::vector<Index> bad =
        learners_where(learners, [&](std::size_t r) { return ended[r] == core::Status::diverged; });
    if (!bad.empty()) {
      throw Diverged{flagged(lost + bad[0] * tasks, tasks),
                     first_bad[static_cast<std::size_t>(bad[0])], tasks, "", bad};
    }
    return adapted;
  });
}

py::tuple evaluate_of_learners(const api::Network& net, const py::handle& theta_object,
                               const std::vector<ExamplesObject*>& supports,
                               const std::vector<ExamplesObject*>& queries,
                               const std::vector<AlgorithmObject*>& algorithms,
                               const py::handle& rates_object, const std::vector<int>& points,
                               bool wants_thetas, const py::handle& threads,
                               const py::handle& check_finite) {
  const Given whole("theta", theta_object);
  const Index learners = count_learners(*whole, net);
  const Cut theta(*whole, learners, "theta");
  const RatesOfLearners rates("rates", rates_object, *whole, algorithms, net);
  const int workers = threads_of(threads);
  const bool checks = flag_of(check_finite, "check_finite");
  Adaptations adaptations(learners);
  for (Index r = 0; r < learners; ++r) {
    adaptations.add({.net = &net,
                     .algorithm = &item_of(algorithms, r).algorithm,
                     .theta = theta[r],
                     .support = &item_of(supports, r).examples,
                     .query = &item_of(queries, r).examples,
                     .rates = rates[r],
                     .steps = points.back(),
                     .theta_per_task = false,
                     .check_finite = checks});
  }
  return api::visit_float(whole->dtype(), [&]<class T>(T) -> py::tuple {
    const auto n_points = static_cast<Index>(points.size());
    const Index numbers = adaptations.tasks() * n_points, size = adaptations[0].n_adapted();
    auto losses = new_array<T>({learners, adaptations.tasks(), n_points});
    auto lost = new_array<bool>({learners, adaptations.tasks(), n_points});
    T *const to = losses.mutable_data(), *thetas_to = nullptr;
    auto* const flags = reinterpret_cast<std::uint8_t*>(lost.mutable_data());
    py::object thetas = py::none();
    if (wants_thetas) {
      auto array = new_array<T>({learners, adaptations.tasks(), n_points, size});
      thetas_to = array.mutable_data();
      thetas = std::move(array);
    }
    run_learners(learners, adaptations[0].problem<T>(), workers,
                 [&](Index r, const core::Execution& execution) {
                   T* const own = thetas_to == nullptr ? nullptr : thetas_to + r * numbers * size;
                   return adaptations[r].evaluate(points.data(), n_points, to + r * numbers, own,
                                                  flags + r * numbers, execution);
                 });
    return py::make_tuple(losses, lost, thetas);
  });
}

}  // namespace

void register_learners_adaptation(py::module_& m) {
  m.def("adapt_of_learners", &adapt_of_learners, py::arg("net"), py::arg("theta"), py::arg("rows"),
        py::arg("algorithms"), py::arg("rates"), py::arg("steps"), py::arg("masks"),
        py::arg("threads"), py::arg("check_finite"),
        "theta_S [R, T, n_adapted]; with `masks`, (theta_S, diverged [R, T])");
  m.def("evaluate_of_learners", &evaluate_of_learners, py::arg("net"), py::arg("theta"),
        py::arg("supports"), py::arg("queries"), py::arg("algorithms"), py::arg("rates"),
        py::arg("points"), py::arg("wants_thetas"), py::arg("threads"), py::arg("check_finite"),
        "(query losses, lost, thetas or None), each [R, ...] of what evaluate returns");
}

}  // namespace fomaml_fast_bindings
