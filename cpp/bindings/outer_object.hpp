#pragma once

#include "api/meta_step.hpp"
#include "bindings.hpp"

namespace fomaml_fast_bindings {

/// The caller's optimiser, and the memory behind it.
struct OuterObject {
  api::Outer outer;
  std::vector<int> layers;
};

/// What Python passes for lr: a number, or one a layer.
class OuterRates {
 public:
  explicit OuterRates(const py::handle& lr) {
    if (PyFloat_Check(lr.ptr())) {
      one_ = PyFloat_AS_DOUBLE(lr.ptr());
    } else {
      many_ = py::cast<std::vector<double>>(lr);
    }
  }
  [[nodiscard]] api::OuterArguments arguments(const OuterObject& outer, Index step,
                                              const api::Argument& moments) const {
    const bool of_layers = !many_.empty();
    return {.outer = &outer.outer,
            .lr = of_layers ? many_.data() : &one_,
            .n_lr = of_layers ? static_cast<Index>(many_.size()) : 1,
            .lr_of_layers = of_layers,
            .step = step,
            .moments = moments};
  }

 private:
  double one_ = 0;
  std::vector<double> many_;
};

}  // namespace fomaml_fast_bindings
