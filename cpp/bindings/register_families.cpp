// The options of every member of a family, and what Python asks of it.
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
                  "masks_classes"_a = L::masks_classes);
}

}  // namespace

core::Parameters parameters_of(const std::vector<double>& options) {
  core::Parameters parameters;
  for (std::size_t i = 0; i < options.size(); ++i) parameters.value.at(i) = options[i];
  return parameters;
}

void register_families(py::module_& m) {
  py::dict activations, losses, inner, outer, facts_of_activations, facts_of_losses;
#define FOMAML_FAST_ACTIVATION(identifier, Struct)                                          \
  activations[core::activations::Struct::name] = options_list<core::activations::Struct>(); \
  facts_of_activations[core::activations::Struct::name] =                                   \
      activation_facts<core::activations::Struct>();
#include "activations/registry.def"
#undef FOMAML_FAST_ACTIVATION
#define FOMAML_FAST_LOSS(identifier, Struct)                                 \
  losses[core::losses::Struct::name] = options_list<core::losses::Struct>(); \
  facts_of_losses[core::losses::Struct::name] = loss_facts<core::losses::Struct>();
#include "losses/registry.def"
#undef FOMAML_FAST_LOSS
#define FOMAML_FAST_INNER(identifier, Struct) \
  inner[core::inner::Struct::name] = options_list<core::inner::Struct>();
#include "inner/registry.def"
#undef FOMAML_FAST_INNER
#define FOMAML_FAST_OUTER(identifier, Struct) \
  outer[core::outer::Struct::name] = options_list<core::outer::Struct>();
#include "outer/registry.def"
#undef FOMAML_FAST_OUTER
  using py::literals::operator""_a;
  m.attr("options") = py::dict("activations"_a = activations, "losses"_a = losses,
                               "inner"_a = inner, "outer"_a = outer);
  m.attr("facts") = py::dict("activations"_a = facts_of_activations, "losses"_a = facts_of_losses);
}

}  // namespace fomaml_fast_bindings
