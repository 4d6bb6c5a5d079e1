// The campaign: runs many seeds, each in a process of its own, and tells which of them show a
// violation, how fast they are, and which probes have fired.
//
//   sim.campaign                          seeds 1..200 x 5000 operations
//   sim.campaign --seeds 5..40 --ops 2000 --jobs 2
//   sim.campaign --seed 7 --trace         one seed again, with all that happened
//   sim.campaign --until-caught           ends at the first violation: success if there is one
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/sim/run.h"

namespace myfs::simtest {
namespace {

constexpr int64_t kPatience_us = 600'000'000;  // with one seed
constexpr int kUsage = 2;
constexpr size_t kTailShown = 6000;  // bytes of what a failed seed has printed

struct Options {
  RunOptions run;
  uint64_t first = 1, last = 200;
  bool single = false;
  bool until_caught = false;
  bool all_probes = false;  // a probe that never fires is a failure
  int jobs = 0;
};

int64_t real_us() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000 + now.tv_nsec / 1000;
}

struct Child {
  pid_t pid = -1;
  int fd = -1;
  uint64_t seed = 0;
  int cpu = 0;
  int64_t since_us = 0;
  std::string output;
};

class Driver {
 public:
  Driver(std::string self, const Options& options) : self_(std::move(self)), options_(options) {
    cpu_set_t set;
    ::sched_getaffinity(0, sizeof set, &set);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(static_cast<size_t>(cpu), &set)) cpus_.push_back(cpu);
    }
    jobs_ = options.jobs > 0 ? static_cast<size_t>(options.jobs) : cpus_.size();
  }

  int run() {
    started_us_ = real_us();
    uint64_t next = options_.first;
    while (!children_.empty() || (next <= options_.last && !stopping_)) {
      while (children_.size() < jobs_ && next <= options_.last && !stopping_) start(next++);
      look();
    }
    return report();
  }

 private:
  std::string command(uint64_t seed) const {
    std::string text = absl::StrCat(self_, " --seed ", seed, " --ops ", options_.run.operations);
    if (options_.run.faults != UINT32_MAX) {
      absl::StrAppend(&text, " --faults ", options_.run.faults);
    }
    return text;
  }

  void start(uint64_t seed) {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) std::abort();
    Child child;
    child.seed = seed;
    child.fd = fds[0];
    child.since_us = real_us();
    child.cpu = free_cpu();
    std::vector<std::string> words = absl::StrSplit(command(seed), ' ');
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    child.pid = ::fork();
    if (child.pid == 0) {
      cpu_set_t set;
      CPU_ZERO(&set);
      CPU_SET(static_cast<size_t>(child.cpu), &set);
      ::sched_setaffinity(0, sizeof set, &set);
      ::dup2(fds[1], STDOUT_FILENO);
      ::dup2(fds[1], STDERR_FILENO);
      ::execv(self_.c_str(), argv.data());
      ::_exit(kUsage);
    }
    ::close(fds[1]);
    children_.push_back(std::move(child));
  }

  int free_cpu() const {
    for (int cpu : cpus_) {
      bool taken = std::any_of(children_.begin(), children_.end(),
                               [&](const Child& child) { return child.cpu == cpu; });
      if (!taken) return cpu;
    }
    return cpus_[children_.size() % cpus_.size()];
  }

  void look() {
    std::vector<pollfd> fds;
    for (const Child& child : children_) fds.push_back({child.fd, POLLIN, 0});
    (void)::poll(fds.data(), fds.size(), 1000);
    for (size_t i = children_.size(); i-- > 0;) {
      Child& child = children_[i];
      if (real_us() - child.since_us > kPatience_us) {
        child.output += "\nviolation: no end in sight, killed\n";
        ::kill(child.pid, SIGKILL);
      }
      if (fds[i].revents == 0) continue;
      char buffer[65536];
      ssize_t got = ::read(child.fd, buffer, sizeof buffer);
      if (got > 0) {
        child.output.append(buffer, static_cast<size_t>(got));
        continue;
      }
      int status = 0;
      ::waitpid(child.pid, &status, 0);
      ::close(child.fd);
      Child done = std::move(child);
      children_.erase(children_.begin() + static_cast<std::ptrdiff_t>(i));
      finished(done, status);
    }
  }

  void finished(const Child& child, int status) {
    ++seeds_;
    std::vector<std::string> violations;
    std::string result;
    for (absl::string_view line : absl::StrSplit(child.output, '\n')) {
      if (line.substr(0, 11) == "violation: ") violations.emplace_back(line.substr(11));
      if (line.substr(0, 7) == "result ") result = std::string(line);
      if (line.substr(0, 6) == "probe ") count_probe(std::string(line.substr(6)));
    }
    operations_ += number(result, "operations=");
    busy_us_ += real_us() - child.since_us;
    bool good = status == 0 && violations.empty() && !result.empty();
    if (good) {
      if (seeds_ % 20 == 0) progress();
      return;
    }
    failed_.push_back(child.seed);
    if (options_.until_caught) stopping_ = true;
    std::cout << "seed " << child.seed << " FAILED, status " << status << "\n";
    for (size_t i = 0; i < std::min<size_t>(violations.size(), 5); ++i) {
      std::cout << "  " << violations[i] << "\n";
    }
    if (violations.empty()) {
      size_t from = child.output.size() > kTailShown ? child.output.size() - kTailShown : 0;
      std::cout << child.output.substr(from) << "\n";
    }
    std::cout << "  " << result << "\n  again: " << command(child.seed) << " --trace" << std::endl;
  }

  static uint64_t number(const std::string& text, const std::string& key) {
    size_t at = text.find(" " + key);
    if (at == std::string::npos) return 0;
    return std::strtoull(text.c_str() + at + 1 + key.size(), nullptr, 10);
  }

  void count_probe(const std::string& line) {
    size_t space = line.rfind(' ');
    uint64_t count = 0;
    if (space == std::string::npos || !absl::SimpleAtoi(line.substr(space + 1), &count)) return;
    Probe& probe = probes_[line.substr(0, space)];
    probe.fired += count;
    probe.seeds += count != 0;
  }

  void progress() const {
    double seconds = static_cast<double>(real_us() - started_us_) / 1e6;
    std::cout << seeds_ << " seeds, " << operations_ << " operations in " << seconds << " s, "
              << static_cast<uint64_t>(static_cast<double>(operations_) * 1e6 /
                                       static_cast<double>(std::max<int64_t>(busy_us_, 1)))
              << " operations/s a core, " << failed_.size() << " failed" << std::endl;
  }

  int report() const {
    progress();
    size_t silent = 0;
    std::cout << "probes: seeds in which it fired, times\n";
    for (const auto& [name, probe] : probes_) {
      std::cout << "  " << name << ": " << probe.seeds << ", " << probe.fired
                << (probe.fired == 0 ? "  NEVER" : "") << "\n";
      silent += probe.fired == 0;
    }
    std::cout << probes_.size() - silent << " of " << probes_.size() << " probes fired"
              << std::endl;
    if (options_.until_caught) return failed_.empty() ? 1 : 0;
    return failed_.empty() && (silent == 0 || !options_.all_probes) ? 0 : 1;
  }

  struct Probe {
    uint64_t fired = 0;
    uint64_t seeds = 0;
  };
  const std::string self_;
  const Options options_;
  std::vector<int> cpus_;
  size_t jobs_ = 1;
  std::vector<Child> children_;
  bool stopping_ = false;
  uint64_t seeds_ = 0;
  uint64_t operations_ = 0;
  int64_t started_us_ = 0;
  int64_t busy_us_ = 0;
  std::vector<uint64_t> failed_;
  std::map<std::string, Probe> probes_;
};

bool take_range(std::string_view text, Options* options) {
  std::pair<std::string, std::string> ends =
      absl::StrSplit(absl::string_view(text.data(), text.size()), absl::MaxSplits("..", 1));
  if (!absl::SimpleAtoi(ends.first, &options->first)) return false;
  options->last = options->first;
  return ends.second.empty() || absl::SimpleAtoi(ends.second, &options->last);
}

bool parse(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    std::string_view word = argv[i];
    auto flag = [&](std::string_view name, bool* value) { return word == name && (*value = true); };
    if (flag("--trace", &options->run.whole_trace) ||
        flag("--until-caught", &options->until_caught) ||
        flag("--all-probes", &options->all_probes)) {
      continue;
    }
    if (++i == argc) return false;
    std::string value = argv[i];
    bool good = false;
    if (word == "--seed") {
      options->single = good = absl::SimpleAtoi(value, &options->run.seed);
    } else if (word == "--seeds") {
      good = take_range(value, options);
    } else if (word == "--ops") {
      good = absl::SimpleAtoi(value, &options->run.operations);
    } else if (word == "--faults") {
      good = absl::SimpleAtoi(value, &options->run.faults);
    } else if (word == "--jobs") {
      good = absl::SimpleAtoi(value, &options->jobs);
    }
    if (!good) return false;
  }
  return true;
}

// The same addresses each time, where the kernel lets us: then even what should not depend on them
// repeats.
void fix_addresses(char** argv) {
  int now = ::personality(0xffffffff);
  if (now == -1 || (now & ADDR_NO_RANDOMIZE) != 0) return;
  if (::personality(static_cast<unsigned long>(now) | ADDR_NO_RANDOMIZE) == -1) return;
  ::execv("/proc/self/exe", argv);
}

}  // namespace

int campaign_main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, &options)) {
    std::cerr << "usage: sim.campaign [--seed N [--trace] | --seeds A..B [--jobs N] "
                 "[--until-caught] [--all-probes]] [--ops N] [--faults MASK]\n";
    return kUsage;
  }
  if (!options.single) return Driver(argv[0], options).run();
  fix_addresses(argv);
  // Threads of what was killed are still there.
  ::_exit(run_one(options.run));
}

}  // namespace myfs::simtest

int main(int argc, char** argv) { return myfs::simtest::campaign_main(argc, argv); }
