// The options of every member of a family, and what Python asks of it.
#include "api/families.hpp"
#include "bindings.hpp"

namespace fomaml_fast_bindings {

namespace {

/// [(name, default)] of every option of a struct.
template <class S>
py::list options_list() {
  py::list options;
  for (const core::Option& option : core::options_of<S>()) {
    options.append(py::make_tuple(option.name, option.value));
  }
  return options;
}

template <class A>
py::dict activation_facts() {
  using py::literals::operator""_a;
  return py::dict(
      "initialization"_a = core::kInitializationNames[static_cast<int>(A::initialization)],
      "curved"_a = A::curved);
}

template <class L>
py::dict loss_facts() {
  using py::literals::operator""_a;
  constexpr int stands_in = core::losses::number_of<typename L::OfNumbers>();
  return py::dict("targets"_a = core::kTargetsNames[static_cast<int>(L::targets)],
                  "of_numbers"_a =
                      stands_in < 0 ? py::object(py::none()) : py::str(core::kLossNames[stands_in]),
                  "masks_classes"_a = L::masks_classes, "averages_outputs"_a = L::averages_outputs,
                  "logits"_a = L::logits);
}

}  // namespace

core::Parameters parameters_of(const std::vector<double>& options) {
  core::Parameters parameters;
  for (std::size_t i = 0; i < options.size(); ++i) parameters.value.at(i) = options[i];
  return parameters;
}

void register_families(py::module_& m) {
  py::dict activations, losses, inner, outer, facts_of_activations, facts_of_losses;
  api::for_each_activation([&]<class A>() {
    activations[A::name] = options_list<A>();
    facts_of_activations[A::name] = activation_facts<A>();
  });
  api::for_each_loss([&]<class L>() {
    losses[L::name] = options_list<L>();
    facts_of_losses[L::name] = loss_facts<L>();
  });
  api::for_each_inner([&]<class I>() { inner[I::name] = options_list<I>(); });
  api::for_each_outer([&]<class O>() { outer[O::name] = options_list<O>(); });
  using py::literals::operator""_a;
  m.attr("options") = py::dict("activations"_a = activations, "losses"_a = losses,
                               "inner"_a = inner, "outer"_a = outer);
  m.attr("facts") = py::dict("activations"_a = facts_of_activations, "losses"_a = facts_of_losses);
}

}  // namespace fomaml_fast_bindings
