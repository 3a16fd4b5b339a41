#include "api/fault.hpp"

#include <cmath>
#include <cstdio>
#include <cstring>

namespace FOMAML_FAST_NAMESPACE::api {

namespace {

struct Row {
  const char* name;
  Fault::Kind kind;
  const char* sentence;
};

constexpr Row kRows[] = {
#define FOMAML_FAST_FAULT(reason, kind, sentence) {#reason, Fault::Kind::kind, sentence},
#include "api/faults.def"
#undef FOMAML_FAST_FAULT
};

const Row& row_of(Reason reason) { return kRows[static_cast<std::size_t>(reason)]; }

/// Appends to a buffer that it never leaves.
class Writer {
 public:
  Writer(char* to, std::size_t size) : to_(to), left_(size) {
    if (left_ > 0) *to_ = '\0';
  }
  void put(const char* text, std::size_t length) {
    if (left_ == 0) return;
    const std::size_t taken = length < left_ - 1 ? length : left_ - 1;
    std::memcpy(to_, text, taken);
    to_ += taken;
    left_ -= taken;
    *to_ = '\0';
  }
  void put(const char* text) { put(text, std::strlen(text)); }
  void put(Index number) {
    char digits[24];
    std::snprintf(digits, sizeof(digits), "%lld", static_cast<long long>(number));
    put(digits);
  }
  void put(double number) {
    if (std::isnan(number)) return put("nan");
    char digits[32];
    std::snprintf(digits, sizeof(digits), "%.9g", number);
    put(digits);
  }
  void put(const char* name, Index item, Index steps) {
    put(name);
    if (item < 0) return;
    put("[");
    put(steps > 0 ? item / steps : item);
    if (steps > 0) put("][");
    if (steps > 0) put(item % steps);
    put("]");
  }
  void put_set(Index set, Index steps) {
    if (steps > 0) put("step ");
    if (steps > 0) put(set % steps);
    put(steps > 0 ? " of task " : "task ");
    put(steps > 0 ? set / steps : set);
  }
  /// With `steps`, the first axis is that of tasks and that of steps.
  void put(const Shape& shape, bool brackets, Index steps = 0) {
    constexpr const char* kNames[] = {"tasks", "rows", "outputs", "columns", "steps", "learners"};
    if (brackets) put("[");
    for (int axis = 0; axis < shape.axes; ++axis) {
      if (axis > 0) put(", ");
      if (axis == Shape::kMostAxes) {
        put("...");
        break;
      }
      const bool folded = axis == 0 && steps > 0;
      if (shape[axis] >= 0) {
        put(folded ? shape[axis] / steps : shape[axis]);
      } else {
        put(kNames[-shape[axis] - 1]);
      }
      if (folded) put(", ");
      if (folded) put(steps);
    }
    if (brackets) put("]");
  }

 private:
  char* to_;
  std::size_t left_;
};

void put_field(Writer& writer, const char* field, std::size_t length, const Fault& fault) {
  const auto is = [&](const char* name) {
    return std::strlen(name) == length && std::memcmp(field, name, length) == 0;
  };
  if (is("name")) return writer.put(fault.name, fault.item, fault.steps);
  if (is("other")) return writer.put(fault.other);
  if (is("at")) return writer.put(fault.at, false);
  if (is("set")) return writer.put_set(fault.set, fault.steps);
  if (is("each")) return writer.put(fault.steps > 0 ? "a step" : "a task");
  const Index folded = fault.item < 0 ? fault.steps : 0;
  if (is("shape")) return writer.put(fault.shape, true, folded);
  if (is("wanted")) return writer.put(fault.wanted, true, folded);
  if (is("dtype")) return writer.put(dtype_name(fault.dtype));
  if (is("like")) return writer.put(dtype_name(fault.like));
  if (is("got")) return writer.put(fault.got);
  if (is("count")) return writer.put(fault.count);
  if (is("value")) return writer.put(fault.value);
  writer.put(fault.text);
}

}  // namespace

const char* dtype_name(DType dtype) {
  constexpr const char* kNames[] = {"none", "float32", "float64", "int32", "int64", "bool"};
  return kNames[static_cast<std::size_t>(dtype)];
}

const char* reason_name(Reason reason) { return row_of(reason).name; }
Fault::Kind kind_of(Reason reason) { return row_of(reason).kind; }

void describe(const Fault& fault, char* to, std::size_t size) {
  Writer writer(to, size);
  if (fault.learner >= 0) {
    writer.put("learner ");
    writer.put(fault.learner);
    writer.put(": ");
  }
  const char* rest = row_of(fault.reason).sentence;
  while (const char* const open = std::strchr(rest, '{')) {
    writer.put(rest, static_cast<std::size_t>(open - rest));
    const char* const close = std::strchr(open, '}');
    put_field(writer, open + 1, static_cast<std::size_t>(close - open - 1), fault);
    rest = close + 1;
  }
  writer.put(rest);
}

}  // namespace FOMAML_FAST_NAMESPACE::api
