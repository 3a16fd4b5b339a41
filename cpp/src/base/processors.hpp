// What the system says about processors: how many there are for this process, and who uses them.
#pragma once

#include <chrono>
#include <string_view>

#include "base/config.hpp"

namespace FOMAML_FAST_NAMESPACE {

/// Processors that this process may run on.
int allowed_processors();

/// Those, or fewer where a CPU quota (cgroups) buys fewer: a part of one counts as one. At least 1.
int usable_processors();

/// How long the calling thread has been runnable without running, ever; negative where the system
/// does not tell.
std::chrono::nanoseconds waited_for_processor();

/// How long the processors that this process may run on have been idle, all together, since the
/// system started; negative where it does not tell.
std::chrono::nanoseconds idle_time();

/// A line of /proc/stat.
struct ProcessorTimes {
  static constexpr int kAllProcessors = -1, kOtherLine = -2;
  int number = kOtherLine;
  std::int64_t idle = 0;  ///< in clock ticks; waiting for a disk is idle time
};
ProcessorTimes processor_times(std::string_view line);

}  // namespace FOMAML_FAST_NAMESPACE
