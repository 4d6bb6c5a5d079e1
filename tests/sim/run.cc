#include "tests/sim/run.h"

#include <time.h>

#include <unistd.h>
#include <algorithm>
#include <cerrno>

#include <cstdio>
#include <functional>
#include <iostream>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "sdk/base/sync.h"
#include "tests/sim/chaos.h"
#include "tests/sim/workload.h"

namespace myfs::simtest {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kStuck_ns = 1200 * kSecond;  // without any operation that ends
constexpr size_t kViolationsShown = 30;
constexpr uint64_t kTraceShown = 200;

int64_t real_us() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000 + now.tv_nsec / 1000;
}

class Run {
 public:
  explicit Run(const RunOptions& options)
      : options_(options),
        plan_(draw_plan(options.seed, options.operations, options.faults)),
        simulation_([&] {
          plan_.options.whole_trace = options.whole_trace;
          return plan_.options;
        }()),
        shared_(simulation_, plan_.weights, plan_.operations) {}

  int run() {
    const int64_t from_us = real_us();
    int error = simulation_.run([this] { body(); });
    if (error != 0) shared_.faults.push_back(absl::StrCat("the run ends with ", error));
    check();
    const int64_t took_us = real_us() - from_us;
    print(took_us);
    return shared_.faults.empty() ? kRunClean : kRunFaulty;
  }

 private:
  // The log goes into the trace.
  static void take_log(void* context, int level, const char* line) {
    static_cast<Run*>(context)->simulation_.note(absl::StrCat("log ", level, " ", line));
  }

  void start_workers(int client) {
    const Process process = next_process_++;
    for (int i = 0; i < plan_.threads; ++i) {
      simulation_.spawn_in(client, absl::StrCat("worker", client),
                           [this, client, process] { Worker(shared_, client, process).work(); });
    }
  }

  void body() {
    myfs_set_log(take_log, this, 1);
    Thread watchdog("watchdog", [this] { watch(); });
    int error = 0;
    in_client(0, [&] { error = prepare(shared_); });
    if (error != 0) {
      shared_.faults.push_back(absl::StrCat("the files cannot be made: ", error));
    } else {
      work();
    }
    finished_ = true;
    watchdog.join();
  }

  void work() {
    Chaos chaos(shared_, plan_, [this](int client) { start_workers(client); });
    for (int i = 0; i < plan_.clients; ++i) start_workers(i);
    simulation_.spawn("chaos", [&] { chaos.work(); });
    while (shared_.operations < shared_.operations_wanted) simulation_.sleep(kSecond / 10);
    shared_.over = true;
    simulation_.join_all();
    chaos.heal();
    faults_made_ = chaos.faults();
    look_at_the_end(chaos);
  }

  // On a thread of the client's, by its clock.
  void in_client(int client, const std::function<void()>& fn) {
    simulation_.spawn_in(client, "main", fn);
    simulation_.join_all();
  }

  void watch() {
    Moment seen = 0;
    int64_t since_ns = simulation_.now_ns();
    while (!finished_) {
      simulation_.sleep(kSecond);
      const int64_t now_ns = simulation_.now_ns();
      if (shared_.clock.now() != seen) {
        seen = shared_.clock.now();
        since_ns = now_ns;
      } else if (now_ns - since_ns > kStuck_ns) {
        stuck("nothing ends any more");
      }
    }
  }

  [[noreturn]] void stuck(const char* what) {
    std::cout << "violation: " << what << ", after " << shared_.operations << " operations, "
              << plan_.text() << std::endl;
    simulation_.report();
    std::cout.flush();
    ::_exit(kRunStuck);
  }

  // With everything healed: what a new process sees, what the clients leave behind.
  void look_at_the_end(const Chaos& chaos) {
    complain(simulation_.stop_clients(), "umount");
    complain(simulation_.start_client(0), "mount at the end");
    if (!simulation_.client_lives(0)) return;
    in_client(0, [this] { Worker(shared_, 0, next_process_++).read_everything(); });
    complain(simulation_.stop_clients(), "umount at the end");
    auto state = simulation_.server_state();
    if (state.sessions > chaos.crashed_clients()) {
      shared_.faults.push_back(absl::StrCat(state.sessions, " sessions are left"));
    }
    if (state.sessions == 0 && state.leases != 0) {
      shared_.faults.push_back(absl::StrCat(state.leases, " leases are left"));
    }
    complain(simulation_.shutdown_server(), "shutdown");
    std::string report;
    if (!simulation_.check_disk(&report)) shared_.faults.push_back("fsck: " + report);
  }

  void complain(int error, const char* what) {
    if (error == 0) return;
    bool excused = error == -EIO && (plan_.may_lose_sessions() || (plan_.faults & kFailingDisk));
    if (!excused) shared_.faults.push_back(absl::StrCat(what, ": error ", error));
  }

  // Whether a fault of the plan may be the reason.
  bool explained(const Failure& failure) const {
    auto found = shared_.sessions_lost.find(failure.process);
    // Not known of those that were killed.
    bool lost = found == shared_.sessions_lost.end() || found->second > 0;
    switch (failure.error) {
      case EIO:
        return lost || (plan_.faults & (kFailingDisk | kFullDisk)) != 0;
      case ESTALE:
        return lost;
      case ENOSPC:
        return (plan_.faults & kFullDisk) != 0;
      default:
        return false;
    }
  }

  void check() {
    Faults& faults = shared_.faults;
    for (const Register& cell : shared_.cells) cell.check(faults);
    for (const AppendLog& log : shared_.logs) log.check(faults);
    for (const TruncatedCell& cell : shared_.cut_cells) cell.check(faults);
    for (const auto& [path, name] : shared_.names) name.check(faults);
    for (const LockUse& lock : shared_.locks) lock.check(faults);
    shared_.size.check(faults);
    for (const Failure& failure : shared_.failures) {
      if (explained(failure)) continue;
      faults.push_back(absl::StrCat("client ", failure.client, ".", failure.process, ": ",
                                    failure.what, " fails at ", failure.at, " with errno ",
                                    failure.error, " for no reason"));
    }
    if (plan_.may_lose_sessions()) return;
    for (const auto& [process, lost] : shared_.sessions_lost) {
      if (lost != 0) faults.push_back(absl::StrCat("process ", process, " has lost its session"));
    }
  }

  void print(int64_t took_us) const {
    if (options_.whole_trace || !shared_.faults.empty()) {
      std::cout << simulation_.trace(options_.whole_trace ? UINT64_MAX : kTraceShown);
    }
    for (size_t i = 0; i < std::min(shared_.faults.size(), kViolationsShown); ++i) {
      std::cout << "violation: " << shared_.faults[i] << "\n";
    }
    for (const sim::SimulationProbe& probe : sim::Simulation::probes()) {
      std::cout << "probe " << probe.name << " " << probe.count << "\n";
    }
    std::cout << "result seed=" << plan_.seed << " operations=" << shared_.operations
              << " faults=" << faults_made_ << " failures=" << shared_.failures.size()
              << " switches=" << simulation_.switches() << " messages=" << simulation_.messages()
              << " virtual_ms=" << simulation_.now_ns() / 1'000'000 - 1'000'000
              << " real_us=" << took_us << " digest=" << simulation_.digest()
              << " violations=" << shared_.faults.size() << " plan=" << plan_.text() << std::endl;
  }

  const RunOptions options_;
  Plan plan_;
  sim::Simulation simulation_;
  Shared shared_;
  Process next_process_ = 1;
  uint64_t faults_made_ = 0;
  bool finished_ = false;
};

}  // namespace

int run_one(const RunOptions& options) {
  // What was killed still refers to it.
  auto* run = new Run(options);
  return run->run();
}

}  // namespace myfs::simtest
