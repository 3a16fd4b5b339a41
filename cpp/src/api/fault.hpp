// What is wrong with a call, as data; and the one sentence that tells of it.
//
// Nothing here knows a language: a binding adds how its users would mend the call.
#pragma once

#include "api/array.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

enum class Reason : std::uint8_t {
#define FOMAML_FAST_FAULT(reason, kind, sentence) reason,
#include "api/faults.def"
#undef FOMAML_FAST_FAULT
};

/// One argument that does not fit. A reason's sentence in faults.def says which members it fills.
struct Fault {
  enum class Kind : std::uint8_t { type, value, overflow };

  Reason reason{};
  Index learner = -1;      ///< of many: whose argument it is
  const char* name = "";   ///< the caller's name of the argument
  Index item = -1;         ///< of a list of arrays: which one
  Index steps = 0;         ///< tasks have so many sets each: `item`, `set`, `shape` and `wanted`
                           ///< count them through, which the sentence does not
  Index set = 0;           ///< the task, or the step of a task, that is wrong
  const char* other = "";  ///< the argument it has to fit
  Shape at{};              ///< a place in it
  Shape shape{}, wanted{};
  DType dtype{}, like{};
  Index got = 0, count = 0;
  double value = 0;
  const char* text = "";
};

const char* reason_name(Reason reason);
Fault::Kind kind_of(Reason reason);

/// Writes the sentence, cut where it does not fit, and a 0 behind it.
void describe(const Fault& fault, char* to, std::size_t size);

}  // namespace FOMAML_FAST_NAMESPACE::api
