// What callers hand over: arrays as they stand in memory, before anybody has looked at them.
#pragma once

#include <array>

#include "base/config.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

enum class DType : std::uint8_t { none, float32, float64, int32, int64, boolean };

const char* dtype_name(DType dtype);

constexpr bool is_float(DType dtype) { return dtype == DType::float32 || dtype == DType::float64; }
constexpr bool is_integer(DType dtype) { return dtype == DType::int32 || dtype == DType::int64; }

template <class T>
inline constexpr DType kDType = sizeof(T) == sizeof(double) ? DType::float64 : DType::float32;

/// Calls `body(T{})` with the type of a float dtype.
template <class Body>
decltype(auto) visit_float(DType dtype, Body&& body) {
  return dtype == DType::float64 ? body(double{}) : body(float{});
}

/// Lengths of axes. In what is wanted of a caller, a negative number names an axis instead.
struct Shape {
  static constexpr int kMostAxes = 4;
  enum Name : Index {
    tasks = -1,
    rows = -2,
    outputs = -3,
    columns = -4,
    steps = -5,
    learners = -6
  };

  int axes = 0;  ///< may exceed kMostAxes: then only the first lengths are known
  std::array<Index, kMostAxes> lengths{};

  [[nodiscard]] Index operator[](int axis) const {
    return axis < kMostAxes ? lengths[static_cast<std::size_t>(axis)] : 0;
  }
  [[nodiscard]] Index last() const { return axes == 0 ? 1 : (*this)[axes - 1]; }
  [[nodiscard]] Index size() const {
    Index product = 1;
    for (int axis = 0; axis < axes; ++axis) product *= (*this)[axis];
    return product;
  }
};

/// One array, C-contiguous and aligned, native byte order.
struct Array {
  const void* data = nullptr;
  DType dtype = DType::none;
  Shape shape{};

  [[nodiscard]] Index size() const { return shape.size(); }
  template <class T>
  [[nodiscard]] const T* as() const {
    return static_cast<const T*>(data);
  }
};

/// One argument of a call: not given, an array, or a list of one array a task, or of one list of
/// arrays a task.
struct Argument {
  const char* name = "";  ///< what the caller calls it
  const Array* arrays = nullptr;
  Index count = 0;
  bool listed = false;
  const Index* lists = nullptr;  ///< of a list of lists: how many arrays each holds
  Index list_count = 0;
  Index steps = 0;  ///< of an axis behind that of tasks that was folded into it (step_axis.hpp)

  [[nodiscard]] bool given() const { return count > 0 || listed; }
  [[nodiscard]] bool nested() const { return lists != nullptr; }
  [[nodiscard]] const Array& array() const { return arrays[0]; }
  [[nodiscard]] DType dtype() const { return count > 0 ? arrays[0].dtype : DType::none; }
};

}  // namespace FOMAML_FAST_NAMESPACE::api
