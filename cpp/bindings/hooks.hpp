// What Python lends the bindings: conversion of exotic arguments, and its exceptions.
#pragma once

#include "bindings.hpp"

namespace fomaml_fast_bindings {

struct Hooks {
  py::object convert;   ///< (value, name, role, dtype or None, lists, forces) -> arrays
  py::object count;     ///< (value, name, least) -> int
  py::object flag;      ///< (value, name) -> bool
  py::object refused;   ///< (kind, reason, sentence, name, dtype or None) -> exception
  py::object diverged;  ///< (tasks, step, number of tasks, what is not finite, learners) ->
                        ///< exception
};
Hooks& hooks();

/// A call that api refused.
struct Refused {
  api::Fault fault;
};
/// A call whose tasks diverged. `what`, where it is not the tasks. `learners`, of many: all that it
/// is about; the tasks are those of the first.
struct Diverged {
  std::vector<Index> tasks;
  int step;
  Index n_tasks;
  const char* what = "";
  std::vector<Index> learners{};
};

/// Throws what an exception should be made of.
inline void expect(bool fits, const api::Fault& fault) {
  if (!fits) throw Refused{fault};
}

}  // namespace fomaml_fast_bindings
