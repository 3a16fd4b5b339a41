// Quotas and idle times, read from files of made-up and of real machines.
#include "base/processors.hpp"

#include <map>
#include <string>
#include <thread>

#include "base/cgroup.hpp"
#include "base/parallel.hpp"
#include "check.hpp"

using namespace FOMAML_FAST_NAMESPACE;

namespace {

using Files = std::map<std::string, std::string>;

int processors(Files files) {
  return cgroup::processors(
      [](const std::string& path, void* context) {
        const Files& known = *static_cast<Files*>(context);
        const auto found = known.find(path);
        return found == known.end() ? std::string() : found->second;
      },
      &files);
}

void quotas_are_rounded_up() {
  CHECK(cgroup::processors_of_max("max 100000\n") == 0);
  CHECK(cgroup::processors_of_max("max\n") == 0);
  CHECK(cgroup::processors_of_max("200000 100000\n") == 2);
  CHECK(cgroup::processors_of_max("150000 100000\n") == 2);
  CHECK(cgroup::processors_of_max("200001 100000\n") == 3);
  CHECK(cgroup::processors_of_max("1000 100000\n") == 1);
  CHECK(cgroup::processors_of_max("25000 50000\n") == 1);
  CHECK(cgroup::processors_of_max("250000\n") == 3);  // the usual period
  CHECK(cgroup::processors_of_max("9223372036854775807 1\n") > 1'000'000);
  for (const char* odd : {"", "\n", "0 100000", "-5 100000", "100000 0", "100000 -1", "x y",
                          "100000 x", "99999999999999999999 100000"}) {
    CHECK(cgroup::processors_of_max(odd) == 0);
  }
  CHECK(cgroup::processors_of_quota("-1\n", "100000\n") == 0);
  CHECK(cgroup::processors_of_quota("350000\n", "100000\n") == 4);
  CHECK(cgroup::processors_of_quota("350000\n", "") == 0);
  CHECK(cgroup::processors_of_quota("", "100000\n") == 0);
}

const std::string kVersion2 =
    "29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";

void the_tightest_group_counts() {
  Files files{{"/proc/self/mountinfo", "21 1 8:1 / / rw - ext4 /dev/vda1 rw\n" + kVersion2},
              {"/proc/self/cgroup", "0::/user.slice/job.scope\n"}};
  CHECK(processors(files) == 0);  // no cpu.max: the controller is off
  files["/sys/fs/cgroup/user.slice/job.scope/cpu.max"] = "max 100000\n";
  CHECK(processors(files) == 0);
  files["/sys/fs/cgroup/user.slice/cpu.max"] = "300000 100000\n";
  CHECK(processors(files) == 3);
  files["/sys/fs/cgroup/user.slice/job.scope/cpu.max"] = "150000 100000\n";
  CHECK(processors(files) == 2);
  files["/sys/fs/cgroup/cpu.max"] = "50000 100000\n";
  CHECK(processors(files) == 1);
  files["/proc/self/cgroup"] = "0::/\n";
  files["/sys/fs/cgroup/cpu.max"] = "250000 100000\n";  // a container sees itself at the top
  CHECK(processors(files) == 3);
  files["/proc/self/cgroup"] = "0::/../outside\n";
  CHECK(processors(files) == 3);
  files["/proc/self/cgroup"] = "";
  CHECK(processors(files) == 3);
  files["/proc/self/cgroup"] = "nonsense\n0:\n::\n0::relative\n";
  CHECK(processors(files) == 3);
}

void version_1_and_both_together() {
  Files files{{"/proc/self/mountinfo",
               "32 31 0:29 / /sys/fs/cgroup/cpu\\040set,cpuacct rw - cgroup cgroup rw,cpuacct,cpu\n"
               "33 31 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
               "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"},
              {"/proc/self/cgroup", "2:cpuset:/elsewhere\n1:cpu,cpuacct:/a/b\n0::/c\n"}};
  CHECK(processors(files) == 0);
  files["/sys/fs/cgroup/cpuset/elsewhere/cpu.cfs_quota_us"] = "100000\n";
  files["/sys/fs/cgroup/cpuset/elsewhere/cpu.cfs_period_us"] = "100000\n";
  CHECK(processors(files) == 0);  // no hierarchy of quotas
  files["/sys/fs/cgroup/cpu set,cpuacct/a/cpu.cfs_quota_us"] = "700000\n";
  files["/sys/fs/cgroup/cpu set,cpuacct/a/cpu.cfs_period_us"] = "100000\n";
  CHECK(processors(files) == 7);
  files["/sys/fs/cgroup/cpu set,cpuacct/a/b/cpu.cfs_quota_us"] = "-1\n";
  files["/sys/fs/cgroup/cpu set,cpuacct/a/b/cpu.cfs_period_us"] = "100000\n";
  CHECK(processors(files) == 7);
  files["/sys/fs/cgroup/unified/c/cpu.max"] = "400000 100000\n";
  CHECK(processors(files) == 4);
}

/// Docker without a namespace for control groups: the group is mounted, its path is the host's.
void a_mounted_group_is_the_top() {
  const std::string mount =
      "700 690 0:29 /docker/1f /sys/fs/cgroup/cpu ro,nosuid master:11 - cgroup cgroup rw,cpu\n";
  Files files{{"/proc/self/mountinfo", mount},
              {"/proc/self/cgroup", "4:cpu:/docker/1f\n"},
              {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n"},
              {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}};
  CHECK(processors(files) == 2);
  files["/proc/self/cgroup"] = "4:cpu:/docker/1f/inner\n";
  files["/sys/fs/cgroup/cpu/inner/cpu.cfs_quota_us"] = "100000\n";
  files["/sys/fs/cgroup/cpu/inner/cpu.cfs_period_us"] = "100000\n";
  CHECK(processors(files) == 1);
  files["/proc/self/cgroup"] = "4:cpu:/docker/1ff\n";  // another group of a similar name
  CHECK(processors(files) == 2);
}

void nothing_is_known_without_files() {
  CHECK(processors({}) == 0);
  CHECK(processors(
            {{"/proc/self/mountinfo", "short line\n- - -\n\n a b c d e f g h - cgroup2\n"}}) == 0);
}

void lines_of_stat_are_read() {
  const ProcessorTimes seventh = processor_times("cpu7 10 20 30 4000 500 6 7 8 9 0");
  CHECK(seventh.number == 7 && seventh.idle == 4500);
  const ProcessorTimes all = processor_times("cpu  38570 50647 7719 243820 582 0 126 57 0 0");
  CHECK(all.number == ProcessorTimes::kAllProcessors && all.idle == 244402);
  for (const char* other : {"intr 1 2 3", "", "cp", "cpux 1 2 3 4 5", "ctxt 5"}) {
    CHECK(processor_times(other).number == ProcessorTimes::kOtherLine);
  }
  CHECK(processor_times("cpu3 1 2").idle == 0);
}

void this_machine_answers() {
  CHECK(usable_processors() >= 1 && usable_processors() <= allowed_processors());
  const auto idle = idle_time(), waited = waited_for_processor();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(idle_time() >= idle && waited_for_processor() >= waited);
  if (waited.count() < 0) return;
  parallel::watch(true);
  parallel::run(3, {}, [](Team&) {});
  const parallel::Delays delays = parallel::delays();
  CHECK(delays.known == (std::string(parallel::backend()) != "none"));
  CHECK(delays.waiting.count() >= 0);
  parallel::run(3, {}, [](Team&) {});  // not asked
  CHECK(!parallel::delays().known);
}

}  // namespace

int main() {
  quotas_are_rounded_up();
  the_tightest_group_counts();
  version_1_and_both_together();
  a_mounted_group_is_the_top();
  nothing_is_known_without_files();
  lines_of_stat_are_read();
  this_machine_answers();
  return check::report();
}
