// What the register_*.cpp files share: the bound types, and how arrays, faults and statuses cross
// the border. The bindings translate; api/ decides.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/algorithm.hpp"
#include "api/examples.hpp"
#include "api/fault.hpp"
#include "api/network.hpp"

namespace fomaml_fast_bindings {

namespace py = pybind11;
namespace core = FOMAML_FAST_NAMESPACE;
namespace api = core::api;
using core::Index;

void register_info(py::module_& m);
void register_hooks(py::module_& m);
void register_families(py::module_& m);
void register_network(py::module_& m);
void register_examples(py::module_& m);
void register_algorithm(py::module_& m);
void register_outer(py::module_& m);
void register_evaluation(py::module_& m);
void register_input_derivatives(py::module_& m);
void register_adaptation(py::module_& m);
void register_meta(py::module_& m);
void register_learners(py::module_& m);
void register_learners_adaptation(py::module_& m);
void register_inner(py::module_& m);
void register_plan(py::module_& m);
void register_posterior(py::module_& m);
void register_work(py::module_& m);

/// Memory of one call: on the stack for small ones.
class CallMemory {
 public:
  explicit CallMemory(std::size_t bytes) {
    if (bytes > sizeof(small_)) large_.reset(new std::byte[bytes + alignof(Line)]);
  }
  std::byte* data() {
    if (large_ == nullptr) return small_;
    const auto address = reinterpret_cast<std::uintptr_t>(large_.get());
    return large_.get() + (alignof(Line) - address % alignof(Line)) % alignof(Line);
  }

 private:
  struct alignas(core::kLineBytes) Line {};
  alignas(core::kLineBytes) std::byte small_[1024];
  std::unique_ptr<std::byte[]> large_;
};

/// Examples with the memory and the arrays they refer to.
struct ExamplesObject {
  api::Examples examples;
  std::shared_ptr<CallMemory> memory;
  py::object x, y;  ///< arrays that are used in place
};

/// An algorithm with the numbers it refers to.
struct AlgorithmObject {
  api::Algorithm algorithm;
  std::vector<int> layers;
  std::vector<float> narrow_rates, narrow_step_weights;
  std::vector<double> wide_rates, wide_step_weights;
};

/// Index of `name` in a registry's list.
template <std::size_t N>
int index_of(const char* const (&names)[N], const std::string& name, const char* what) {
  for (std::size_t i = 0; i < N; ++i) {
    if (name == names[i]) return static_cast<int>(i);
  }
  std::string known;
  for (const char* candidate : names) known += (known.empty() ? "" : ", ") + std::string(candidate);
  throw py::value_error("unknown " + std::string(what) + " '" + name + "'; known: " + known);
}

/// Refers to `layers`.
inline api::LayerChoice layer_choice(const std::string& which, const std::vector<int>& layers,
                                     const char* what) {
  return {
      .kind = static_cast<api::LayerChoice::Kind>(index_of(api::LayerChoice::kNames, which, what)),
      .layers = layers.data(),
      .n_layers = static_cast<int>(layers.size())};
}

template <std::size_t N>
py::tuple names_of(const char* const (&names)[N]) {
  py::tuple all(N);
  for (std::size_t i = 0; i < N; ++i) all[i] = names[i];
  return all;
}

/// A member of a family: its name, and the values of its options.
using Named = std::pair<std::string, std::vector<double>>;

/// The values of options, in the order of the core's list.
core::Parameters parameters_of(const std::vector<double>& options);

core::LossSpec make_loss(const Named& loss);

}  // namespace fomaml_fast_bindings
