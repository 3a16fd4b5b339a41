// From what Python passes to api's arguments.
#pragma once

#include "bindings.hpp"

namespace fomaml_fast_bindings {

/// What an argument holds, for what has to be converted: lists of numbers have no dtype of their
/// own.
enum class Role : std::uint8_t {
  numbers,  ///< floats
  targets,  ///< floats, or integer labels
  flags,    ///< bool
  inputs,   ///< floats, arrays of which are of rows and columns
};

/// How many lists deep arrays may stand.
enum class Lists : std::uint8_t { none, tasks, tasks_and_steps };

struct Conversion {
  Role role = Role::numbers;
  api::DType dtype = api::DType::none;  ///< of lists of numbers; float64 if none
  Lists lists = Lists::none;
  bool forces = false;  ///< floats of another dtype are converted, too
};

/// One argument of a call. Arrays that the core can read as they stand are used in place; anything
/// else is converted once by Python, and lives as long as this.
class Given {
 public:
  /// None is an argument that was not given.
  Given(const char* name, const py::handle& value, const Conversion& conversion = {});
  Given(const Given&) = delete;
  Given& operator=(const Given&) = delete;

  [[nodiscard]] const api::Argument& operator*() const { return argument_; }
  [[nodiscard]] const api::Argument* operator->() const { return &argument_; }
  /// The array, or the list of them, that the argument refers to.
  [[nodiscard]] const py::object& object() const { return object_; }

 private:
  bool read(const py::handle& value, const Conversion& conversion);
  bool read_items(const py::tuple& items, const Conversion& conversion, bool in_list);

  api::Argument argument_;
  api::Array one_;
  std::vector<api::Array> many_;
  std::vector<Index> lists_;  ///< arrays of each list of a list of lists
  py::object object_;
};

/// Whether `object` is of NumPy's own array type.
bool is_ndarray(const py::handle& object);

/// Threads of a call: None is 0, for api to choose.
int threads_of(const py::handle& threads);
/// True or False, and nothing else.
bool flag_of(const py::handle& value, const char* name);

}  // namespace fomaml_fast_bindings
