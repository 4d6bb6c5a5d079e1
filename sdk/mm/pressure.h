// PressureWatch: notices that memory is short, gives some back, and tells who wants to know.
// Kernel counterpart: kernel/sched/psi.c (triggers), mm/vmpressure.c.  Differs: the levels are
// those of the whole: the kernel's stall information of the process's cgroup or of the system, and
// the budget's own shortage.
// Thread safety: all. raise() may be called under leaf locks. Callbacks run on the watch's own
// thread, one at a time, never under a lock of ours and never on a thread that drives the I/O loop:
// that is why it has one, which sleeps in poll(2) while nothing happens.
// exceeded() likewise. Lock rank: kCall, let go of while a callback runs.
// Owns / is owned by: part of mm::Runtime; owns the descriptors of its sources. Without sources,
// listeners and start() there is no thread.
// Invariants: (1) listeners are told levels in the order in which they came, each change once; (2)
// after remove() has returned the listener is not called any more; (3) level() falls to kNone
// kCalm_ns after the last sign.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sdk/base/clock.h"
#include "sdk/base/sync.h"

namespace myfs::mm {

class Budget;

enum class PressureLevel : int {
  kNone = 0,
  kLow = 1,       // of the system: an eighth of the cache is given back; of the budget: calls wait
  kCritical = 2,  // of the system: half of it is; of the budget: a call has failed
};

class PressureWatch {
 public:
  static constexpr int64_t kCalm_ns = 10 * kNsPerSec;

  explicit PressureWatch(Budget& budget) : budget_(budget) {}
  ~PressureWatch() { stop(); }
  PressureWatch(const PressureWatch&) = delete;
  PressureWatch& operator=(const PressureWatch&) = delete;

  // A descriptor that has POLLPRI when there is pressure [a PSI trigger]; owned from now on.
  struct Source {
    int fd;
    PressureLevel level;
  };
  // Triggers of `pressure_file`; none where they are not there or not permitted.
  static std::vector<Source> psi_sources(const std::string& pressure_file);
  // Watches them, too. Once they fail they are left alone.
  void watch(std::vector<Source> sources);

  // Starts the thread, for exceeded() to be heard.
  void start();
  // Something was charged that could not be refused, and the budget is exceeded: what can be given
  // back without waiting is, soon.
  void exceeded();
  // The budget had nothing to give: kLow: a call waits; kCritical: it fails.
  void raise(PressureLevel level);
  PressureLevel level() const { return level_.load(std::memory_order_acquire); }

  using Fn = std::function<void(PressureLevel)>;
  // A number for remove().
  uint64_t add(Fn fn);
  // Waits for the callback that runs; not to be called from one.
  void remove(uint64_t id);
  void stop();

 private:
  void start_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void wake();
  void run();
  // What has come since it was asked last, after waiting for something until `deadline_ns`.
  struct Signs {
    PressureLevel of_system = PressureLevel::kNone;
    PressureLevel of_budget = PressureLevel::kNone;
  };
  Signs wait(int64_t deadline_ns);
  void give_back(PressureLevel level);
  void tell(PressureLevel level);

  Budget& budget_;
  std::atomic<PressureLevel> level_{PressureLevel::kNone};
  std::atomic<int> raised_{0};
  std::atomic<bool> exceeded_{false};
  std::atomic<int> wake_fd_{-1};

  Mutex mutex_{LockRank::kCall};
  CondVar told_;
  struct Listener {
    uint64_t id;
    Fn fn;
  };
  std::vector<std::shared_ptr<Listener>> listeners_ ABSL_GUARDED_BY(mutex_);
  std::vector<Source> sources_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t running_ ABSL_GUARDED_BY(mutex_) = 0;  // id of the listener that is called now
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<Thread> thread_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace myfs::mm
