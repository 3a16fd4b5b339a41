// How many threads a call is worth. Results never depend on it.
#pragma once

#include "engines/engine.hpp"

namespace FOMAML_FAST_NAMESPACE::api {

/// Threads for `problem` on a quiet machine: all that the call may use or, if the caller leaves the
/// choice, one where waking the others would cost more than they save.
/// `shares_products`: whether the engine does.
int worthwhile_workers(const Problem& problem, const Execution& execution, bool shares_products);

/// Of those, as many as find a processor.
int present_workers(int worthwhile);

/// Whether a call is over before anybody can ask it to stop: then nobody looks at the clock.
bool is_brief(const Problem& problem);

/// While it lives a call runs, on so many threads; what it meets decides how many the next calls of
/// this thread get.
class Attendance {
 public:
  explicit Attendance(int workers);
  ~Attendance();
  Attendance(const Attendance&) = delete;
  Attendance& operator=(const Attendance&) = delete;

 private:
  bool several_, notes_ = false;
};

}  // namespace FOMAML_FAST_NAMESPACE::api
