#include "results.hpp"

#include "api/build.hpp"

namespace fomaml_fast_bindings {

namespace {

/// Lets Python handle signals; true if a handler raised (KeyboardInterrupt).
bool python_wants_to_stop(void* /*context*/) {
  const py::gil_scoped_acquire gil;
  return PyErr_CheckSignals() != 0;
}

}  // namespace

core::Execution execution_of(int threads) {
  core::Execution execution;
  execution.exact = threads > 0;
  execution.workers = threads > 0 ? threads : core::parallel::default_workers();
  execution.interrupt.requested = &python_wants_to_stop;
  return execution;
}

bool ended_diverged(core::Status status) {
  switch (status) {
    case core::Status::ok:
      return false;
    case core::Status::diverged:
      return true;
    case core::Status::interrupted:
      throw py::error_already_set();
    case core::Status::out_of_memory:
      PyErr_NoMemory();
      throw py::error_already_set();
    case core::Status::unsupported:
      break;
  }
  throw std::runtime_error(std::string("the forced engine '") +
                           api::engine_name(api::forced_engine()) + "' does not support this call");
}

}  // namespace fomaml_fast_bindings
