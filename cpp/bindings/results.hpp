// New arrays for results, and how a call runs and ends.
#pragma once

#include <algorithm>
#include <array>

#include "bindings.hpp"

namespace fomaml_fast_bindings {

template <class T>
py::array_t<T> new_array(std::initializer_list<py::ssize_t> shape) {
  return py::array_t<T>(py::array::ShapeContainer(shape));
}

/// A view of memory that `owner` keeps; nobody may write to it where `read_only`.
template <class T>
py::array view_of(const void* data, std::vector<py::ssize_t> shape, const py::handle& owner,
                  bool read_only) {
  py::array_t<T> view(std::move(shape), static_cast<const T*>(data), owner);
  if (read_only) {
    py::detail::array_proxy(view.ptr())->flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  }
  return view;
}

/// Which tasks diverged: on the stack for few, so that the usual call makes no array of them.
class Flags {
 public:
  explicit Flags(Index tasks) : tasks_(tasks) {
    if (tasks > kFew) many_.resize(static_cast<std::size_t>(tasks));
  }
  std::uint8_t* data() { return tasks_ > kFew ? many_.data() : few_.data(); }
  py::array_t<bool> array() {
    auto flags = new_array<bool>({tasks_});
    std::copy_n(data(), tasks_, reinterpret_cast<std::uint8_t*>(flags.mutable_data()));
    return flags;
  }
  std::vector<Index> raised() {
    std::vector<Index> tasks;
    for (Index t = 0; t < tasks_; ++t) {
      if (data()[t] != 0) tasks.push_back(t);
    }
    return tasks;
  }

 private:
  static constexpr Index kFew = 64;
  Index tasks_;
  std::array<std::uint8_t, kFew> few_;
  std::vector<std::uint8_t> many_;
};

/// With Python's signals; 0 threads leave the choice to api.
core::Execution execution_of(int threads);

/// Throws what Python should see of a status, except divergence, which is returned: true if so.
bool ended_diverged(core::Status status);

/// Calls `body(execution)` without the GIL; true if tasks diverged.
template <class Body>
bool run(int threads, Body&& body) {
  core::Status status{};
  {
    const core::Execution execution = execution_of(threads);
    const py::gil_scoped_release release;
    status = body(execution);
  }
  return ended_diverged(status);
}

}  // namespace fomaml_fast_bindings
