// CPU quotas of control groups: what a container may use of the machine's processors.
#pragma once

#include <string>

#include "base/config.hpp"

namespace FOMAML_FAST_NAMESPACE::cgroup {

/// Reads a whole file; empty if it cannot be read.
using ReadFile = std::string (*)(const std::string& path, void* context);

/// Processors that a cpu.max buys ("quota period" in microseconds, or "max": version 2), rounded
/// up as the Java and Go runtimes do; 0 where there is no limit, or what stands there is no quota.
int processors_of_max(const std::string& text);

/// The same of cpu.cfs_quota_us (-1 where there is no limit) and cpu.cfs_period_us (version 1).
int processors_of_quota(const std::string& quota, const std::string& period);

/// The tightest quota of this process's control group and all above it, whatever the versions; 0
/// where there is none. Reads /proc/self/cgroup, /proc/self/mountinfo and below what they name.
int processors(ReadFile read, void* context);

}  // namespace FOMAML_FAST_NAMESPACE::cgroup
