#include "bindings.hpp"

namespace fomaml_fast_bindings {

namespace {

/// Lets Python handle signals; true if a handler raised (KeyboardInterrupt).
bool python_wants_to_stop(void* /*context*/) {
  const py::gil_scoped_acquire gil;
  return PyErr_CheckSignals() != 0;
}

}  // namespace

template <class T>
core::Status run(const core::Problem& problem, const core::Call<T>& call, int threads) {
  core::Execution execution;
  execution.exact = threads > 0;
  execution.workers = threads > 0 ? threads : core::parallel::default_workers();
  execution.interrupt.requested = &python_wants_to_stop;
  core::Status status{};
  {
    const py::gil_scoped_release release;
    status = core::api::run(problem, call, execution);
  }
  switch (status) {
    case core::Status::ok:
    case core::Status::diverged:
      return status;
    case core::Status::interrupted:
      throw py::error_already_set();
    case core::Status::out_of_memory:
      PyErr_NoMemory();
      throw py::error_already_set();
    case core::Status::unsupported:
      break;
  }
  throw std::runtime_error(std::string("the forced engine '") +
                           core::api::engine_name(core::api::forced_engine()) +
                           "' does not support this call");
}

template core::Status run<float>(const core::Problem&, const core::Call<float>&, int);
template core::Status run<double>(const core::Problem&, const core::Call<double>&, int);

}  // namespace fomaml_fast_bindings
