// The test harness: one macro that counts and prints what did not hold.
#pragma once

#include <cstdio>

namespace check {

inline int& failures() {
  static int count = 0;
  return count;
}

inline bool that(bool holds, const char* claim, const char* file, int line) {
  if (!holds && ++failures() <= 20) std::printf("%s:%d: not so: %s\n", file, line, claim);
  return holds;
}

/// The exit status of a test program.
inline int report() {
  if (failures() != 0) std::printf("%d checks failed\n", failures());
  return failures() == 0 ? 0 : 1;
}

}  // namespace check

#define CHECK(claim) ::check::that((claim), #claim, __FILE__, __LINE__)
