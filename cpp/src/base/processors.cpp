#include "base/processors.hpp"

#include <algorithm>
#include <charconv>
#include <string>
#include <thread>

#include "base/cgroup.hpp"

#if defined(__linux__)
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>
#endif

namespace FOMAML_FAST_NAMESPACE {

#if defined(__linux__)

namespace {

/// A file that is read once.
class File {
 public:
  explicit File(const char* path) : descriptor_(open(path, O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  /// 0 at the end, and where it cannot be read.
  std::size_t read_some(char* to, std::size_t size) {
    if (descriptor_ < 0) return 0;
    const ssize_t count = read(descriptor_, to, size);
    return count > 0 ? static_cast<std::size_t>(count) : 0;
  }

 private:
  int descriptor_;
};

std::string whole_file(const std::string& path, void* /*context*/) {
  File file(path.c_str());
  std::string text;
  char some[4096];
  while (const std::size_t count = file.read_some(some, sizeof(some))) text.append(some, count);
  return text;
}

bool allowed_set(cpu_set_t& set) {
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof(set), &set) == 0;
}

}  // namespace

int allowed_processors() {
  cpu_set_t set;
  // A set too small for the machine is refused.
  if (!allowed_set(set)) return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  return std::max(1, CPU_COUNT(&set));
}

int usable_processors() {
  const int allowed = allowed_processors(), bought = cgroup::processors(&whole_file, nullptr);
  return bought > 0 ? std::min(allowed, bought) : allowed;
}

std::chrono::nanoseconds waited_for_processor() {
  // "time on a processor, time in a run queue, times run".
  char text[128];
  const std::size_t length = File("/proc/thread-self/schedstat").read_some(text, sizeof(text));
  const char* const end = text + length;
  const char* const second = std::find(static_cast<const char*>(text), end, ' ');
  std::int64_t waited = -1;
  if (second != end) std::from_chars(second + 1, end, waited);
  return std::chrono::nanoseconds(waited);
}

std::chrono::nanoseconds idle_time() {
  cpu_set_t set;
  if (!allowed_set(set)) return std::chrono::nanoseconds(-1);
  static const std::int64_t per_second = sysconf(_SC_CLK_TCK);
  File file("/proc/stat");
  std::int64_t ticks = 0;
  bool any = false;
  char text[4096];
  std::size_t kept = 0;
  // The lines of the processors come first; one that a piece cuts off is kept for the next.
  while (const std::size_t count = file.read_some(text + kept, sizeof(text) - kept)) {
    const char* const end = text + kept + count;
    const char* line = text;
    for (const char* stop; (stop = std::find(line, end, '\n')) != end; line = stop + 1) {
      const ProcessorTimes times = processor_times({line, static_cast<std::size_t>(stop - line)});
      if (times.number == ProcessorTimes::kOtherLine) {
        return std::chrono::nanoseconds(any ? ticks * (1'000'000'000 / per_second) : -1);
      }
      if (times.number < 0 || times.number >= CPU_SETSIZE || !CPU_ISSET(times.number, &set)) {
        continue;
      }
      ticks += times.idle;
      any = true;
    }
    kept = static_cast<std::size_t>(end - line);
    std::copy(line, end, text);
    if (kept == sizeof(text)) break;
  }
  return std::chrono::nanoseconds(-1);
}

#else

int allowed_processors() {
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}
int usable_processors() { return allowed_processors(); }
std::chrono::nanoseconds waited_for_processor() { return std::chrono::nanoseconds(-1); }
std::chrono::nanoseconds idle_time() { return std::chrono::nanoseconds(-1); }

#endif

ProcessorTimes processor_times(std::string_view line) {
  ProcessorTimes times;
  if (line.substr(0, 3) != "cpu") return times;
  const char* at = line.data() + 3;
  const char* const end = line.data() + line.size();
  times.number = ProcessorTimes::kAllProcessors;
  if (at != end && *at != ' ') {
    const auto [rest, error] = std::from_chars(at, end, times.number);
    if (error != std::errc()) times.number = ProcessorTimes::kOtherLine;
    at = rest;
  }
  // user nice system idle iowait ...
  for (int column = 0; column < 5; ++column) {
    at = std::find_if(at, end, [](char c) { return c != ' '; });
    std::int64_t ticks = 0;
    at = std::from_chars(at, end, ticks).ptr;
    if (column >= 3) times.idle += ticks;
  }
  return times;
}

}  // namespace FOMAML_FAST_NAMESPACE
