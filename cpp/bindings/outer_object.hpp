#pragma once

#include "api/meta_step.hpp"
#include "bindings.hpp"

namespace fomaml_fast_bindings {

struct OuterObject {
  core::OuterSpec spec;
};

}  // namespace fomaml_fast_bindings
