#include "base/cgroup.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string_view>
#include <vector>

namespace FOMAML_FAST_NAMESPACE::cgroup {

namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

bool contains(const std::vector<std::string_view>& parts, std::string_view part) {
  return std::find(parts.begin(), parts.end(), part) != parts.end();
}

/// The number that `text` begins with; 0 if it begins with none.
std::int64_t number(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

int processors_for(std::int64_t quota, std::int64_t period) {
  if (quota <= 0 || period <= 0) return 0;
  const std::int64_t whole = quota / period + (quota % period != 0 ? 1 : 0);
  return static_cast<int>(std::min<std::int64_t>(whole, std::numeric_limits<int>::max()));
}

/// The smaller of two limits, of which 0 is none.
int tighter(int one, int other) {
  if (one == 0 || other == 0) return std::max(one, other);
  return std::min(one, other);
}

/// A mounted hierarchy of control groups.
struct Mount {
  bool version_2;
  std::string root;   ///< the group that is mounted
  std::string place;  ///< where
};

/// Spaces in mountinfo are written \040, and so on.
std::string unescaped(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      int code = 0;
      std::from_chars(text.data() + i + 1, text.data() + i + 4, code, 8);
      plain.push_back(static_cast<char>(code));
      i += 3;
    } else {
      plain.push_back(text[i]);
    }
  }
  return plain;
}

/// Hierarchies that limit processors. A line of mountinfo: id, parent, device, root, place,
/// options, any number of optional fields, "-", type, source, options of the file system.
std::vector<Mount> mounts(const std::string& mountinfo) {
  std::vector<Mount> found;
  for (const std::string_view line : split(mountinfo, '\n')) {
    const std::vector<std::string_view> fields = split(line, ' ');
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() < 10 || dash - fields.begin() < 6 || fields.end() - dash < 4) continue;
    const bool version_2 = dash[1] == "cgroup2";
    if (!version_2 && (dash[1] != "cgroup" || !contains(split(dash[3], ','), "cpu"))) continue;
    found.push_back({version_2, unescaped(fields[3]), unescaped(fields[4])});
  }
  return found;
}

/// The group of this process: a line is "number:controllers:path", of version 2 "0::path".
std::string group_of(const std::string& groups, bool version_2) {
  for (const std::string_view line : split(groups, '\n')) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const bool mine = version_2 ? controllers.empty() : contains(split(controllers, ','), "cpu");
    if (mine) return std::string(line.substr(second + 1));
  }
  return "/";
}

/// The path below the mounted group. A container that sees its group by another name than its host
/// has it mounted at the top.
std::string below(const std::string& root, const std::string& path) {
  if (root == "/") return path;
  if (path.compare(0, root.size(), root) == 0 &&
      (path.size() == root.size() || path[root.size()] == '/')) {
    return path.substr(root.size());
  }
  return "";
}

}  // namespace

int processors_of_max(const std::string& text) {
  const std::vector<std::string_view> words = split(text, ' ');
  constexpr std::int64_t kUsualPeriod = 100'000;
  return processors_for(number(words[0]), words.size() > 1 ? number(words[1]) : kUsualPeriod);
}

int processors_of_quota(const std::string& quota, const std::string& period) {
  return processors_for(number(quota), number(period));
}

int processors(ReadFile read, void* context) {
  const std::string groups = read("/proc/self/cgroup", context);
  int fewest = 0;
  for (const Mount& mount : mounts(read("/proc/self/mountinfo", context))) {
    std::string group = below(mount.root, group_of(groups, mount.version_2));
    // One outside what is visible here begins with "/..".
    if (group.rfind('/', 0) != 0 || group.find("/..") != std::string::npos) group.clear();
    while (!group.empty() && group.back() == '/') group.pop_back();
    for (;;) {
      const std::string folder = mount.place + group + "/";
      fewest =
          tighter(fewest, mount.version_2
                              ? processors_of_max(read(folder + "cpu.max", context))
                              : processors_of_quota(read(folder + "cpu.cfs_quota_us", context),
                                                    read(folder + "cpu.cfs_period_us", context)));
      if (group.empty()) break;
      group.resize(group.rfind('/'));
    }
  }
  return fewest;
}

}  // namespace FOMAML_FAST_NAMESPACE::cgroup
