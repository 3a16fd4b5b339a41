// Table of contents of the extension module: one register_*.cpp a room.
#include "bindings.hpp"

// The macro's argument must be expanded before pybind11 turns it into names.
#define FOMAML_FAST_EXPAND(...) __VA_ARGS__
#define FOMAML_FAST_DEFINE_MODULE(name, variable) \
  PYBIND11_MODULE(name, variable, pybind11::mod_gil_not_used())

FOMAML_FAST_EXPAND(FOMAML_FAST_DEFINE_MODULE)(FOMAML_FAST_MODULE, m) {
  m.doc() = "The compiled core of fomaml_fast; use the package, not this module.";
  fomaml_fast_bindings::register_info(m);
  fomaml_fast_bindings::register_hooks(m);
  fomaml_fast_bindings::register_families(m);
  fomaml_fast_bindings::register_network(m);
  fomaml_fast_bindings::register_examples(m);
  fomaml_fast_bindings::register_algorithm(m);
  fomaml_fast_bindings::register_outer(m);
  fomaml_fast_bindings::register_evaluation(m);
  fomaml_fast_bindings::register_input_derivatives(m);
  fomaml_fast_bindings::register_adaptation(m);
  fomaml_fast_bindings::register_meta(m);
  fomaml_fast_bindings::register_learners(m);
  fomaml_fast_bindings::register_learners_adaptation(m);
  fomaml_fast_bindings::register_plan(m);
  fomaml_fast_bindings::register_posterior(m);
  fomaml_fast_bindings::register_work(m);
  fomaml_fast_bindings::register_inner(m);
}
