// Simulator: runs real threads one at a time under a seeded scheduler, on a clock that jumps.
// Kernel counterpart: none (rr's chaos mode and FoundationDB's simulator are the nearest).
// Thread safety: run() one thread; SimHooks as they say; the rest simulated threads.
// Owns / is owned by: owned by a test; installs itself as g_sim_hooks for the time of run().
//
// Threads belong to groups, which stand for processes or machines: a thread is born into the group
// of who starts it. A group can be stopped for a time [SIGSTOP], be killed [SIGKILL], and have a
// clock that goes wrong.
//
// Invariants: (1) exactly one simulated thread runs at any time; (2) every choice is drawn from the
// seed, and nothing else (no pointer, no hash order, no real time) decides what happens; (3) the
// clock moves only when every thread waits, to the earliest deadline, and by kTickPerLook_ns at
// each look at it, so that loops over the clock end; (4) when all wait without a deadline the run
// is dead: it aborts with who waits for whom; (5) a thread inside an rcu read section is stopped or
// killed only when it has left: the records of readers are the process's, which stands for many.
#pragma once

#include <pthread.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "sdk/base/sim_locks.h"
#include "sdk/base/sync.h"
#include "sdk/testing/trace.h"

namespace myfs::sim {

inline constexpr int64_t kTickPerLook_ns = 20;
inline constexpr int64_t kSimEpoch_ns = 1'700'000'000'000'000'000;  // realtime at boottime 0
inline constexpr int64_t kSimBoot_ns = 1'000'000'000'000;           // boottime at the start

// xoshiro256**: the same numbers on every machine.
class SimRandom {
 public:
  explicit SimRandom(uint64_t seed);
  uint64_t next();
  uint64_t below(uint64_t bound);  // [0, bound)
  bool one_in(uint64_t n) { return below(n) == 0; }

 private:
  uint64_t state_[4];
};

using GroupId = uint32_t;
inline constexpr GroupId kWorld = 0;  // of run()'s body; never stopped

class Simulator final : public SimHooks, public SimLockHooks {
 public:
  struct Options {
    uint64_t seed = 1;
    uint64_t switch_one_in = 4;  // how often a yield point lets another thread run
    uint64_t unlock_one_in = 0;  // how often the release of a lock does; 0: never
    uint64_t look_one_in = 0;    // how often a look at the clock does; 0: never
    bool whole_trace = true;     // false: the newest events only
  };
  explicit Simulator(Options options);
  ~Simulator() override;
  Simulator(const Simulator&) = delete;
  Simulator& operator=(const Simulator&) = delete;

  // Runs `body` as the first simulated thread, named "main". Threads that are left when it returns
  // never run again.
  void run(const std::function<void()>& body);

  Trace& trace() { return trace_; }
  uint64_t seed() const { return options_.seed; }
  // For decisions of the world (delays, faults), apart from those of the scheduler.
  SimRandom& world_random() { return world_random_; }
  // The world's, without a tick: for whoever must not move the clock.
  int64_t now_ns() const { return now_ns_; }
  uint64_t switches() const { return switches_; }

  // --- groups
  // `slip_ppm`: how much too fast its clock goes.
  GroupId add_group(std::string name, int32_t slip_ppm);
  GroupId group() const;  // of the calling thread
  // Runs `fn` with the calling thread in `group`.
  void as(GroupId group, const std::function<void()>& fn);
  // Its threads do not run for so long, from the world's clock; its own clock goes on. The longest
  // of several stops counts. A thread of the group that calls it goes on to its next point of
  // scheduling.
  void stop(GroupId group, int64_t duration_ns);
  // One of its threads, chosen by `random`.
  void stop_one_thread(GroupId group, int64_t duration_ns, SimRandom& random);
  // Its threads never run again. What they hold is never let go of; join() of them returns.
  void kill(GroupId group);
  bool is_dead(GroupId group) const { return groups_[group]->dead; }
  bool is_stopped(GroupId group) const { return groups_[group]->until_ns > now_ns_; }
  // A time of the world as the calling thread's group counts it, rounded up, and back.
  int64_t to_local(int64_t world_ns) const;
  int64_t to_world(int64_t local_ns) const;

  // Who waits for whom, with the stacks of those that can be asked, to stderr.
  void report();

  // SimLockHooks
  void wait_lock(const void* channel, int holder) override;
  void wake_one(const void* channel) override;
  void unlocked(const void* channel) override;

  // SimHooks
  bool wait(const void* channel, int64_t deadline_ns) override;
  void wake_all(const void* channel) override;
  void yield_point(const char* where) override;
  std::thread spawn(std::string name, std::function<void()> body) override;
  void join(std::thread& thread) override;
  int64_t boottime_ns() override;
  int64_t realtime_ns() override;
  uint64_t random_u64() override;
  bool owns_this_thread() override;

 private:
  enum class State : uint8_t { kRunnable, kWaiting, kExited };
  struct Group {
    std::string name;
    int32_t slip_ppm = 0;
    bool dead = false;
    int64_t until_ns = 0;  // stopped so long
  };
  struct SimThread {
    uint32_t id = 0;
    uint32_t trace_name = 0;
    std::string name;
    Group* group = nullptr;
    State state = State::kRunnable;
    bool frozen = false;  // it, or its group, is stopped or dead
    bool in_rcu = false;  // when it last gave the baton on
    bool timed_out = false;
    int64_t until_ns = 0;  // stopped alone so long
    const void* channel = nullptr;
    int holder = 0;                     // of the lock waited for, as the kernel numbers threads
    int64_t deadline_ns = kNoDeadline;  // of the world
    SimThread* next_waiter = nullptr;   // in its bucket
    SimThread* prev_waiter = nullptr;
    std::atomic<uint32_t> baton{0};
    std::thread::id os_id;
    pthread_t os_handle{};
    int kernel_id = 0;
  };
  class ExitBaton;
  static constexpr size_t kBuckets = 256;

  static SimThread* self();
  static size_t bucket_of(const void* channel);
  SimThread* add_thread(std::string name, Group* group);
  void begin_thread(SimThread* thread);
  void exit_thread(SimThread* thread);
  // Gives the baton on and waits until it comes back. The state of `self` is set already.
  void switch_away(std::unique_lock<std::mutex>& lock, SimThread* self);
  SimThread* choose(SimThread* self);
  SimThread* nth_runnable(uint64_t n) const;
  void refresh(SimThread& thread);  // its place among the runnable
  void set_frozen(SimThread& thread);
  void jump_to_next_deadline();
  void make_runnable(SimThread& thread, bool timed_out);
  void unlink(SimThread& thread);
  void maybe_yield(uint64_t one_in, const char* where);
  bool frozen_by_time(const SimThread& thread) const {
    return thread.group->dead || thread.group->until_ns > now_ns_ || thread.until_ns > now_ns_;
  }
  void print_cycles();
  void print_stacks();
  [[noreturn]] void die_of_deadlock();

  const Options options_;
  SimRandom schedule_random_;
  SimRandom world_random_;
  SimRandom program_random_;  // what the code under test draws
  Trace trace_;
  std::mutex mutex_;  // raw: this is what base/sync stands on here
  std::vector<std::unique_ptr<Group>> groups_;
  std::vector<std::unique_ptr<SimThread>> threads_;  // by id
  std::vector<SimThread*> live_;                     // not exited, not of a dead group
  std::vector<uint64_t> runnable_;                   // bits by id
  uint64_t runnable_count_ = 0;
  std::array<SimThread*, kBuckets> waiters_{};
  std::vector<SimThread*> candidates_;  // of one choice
  int64_t next_thaw_ns_ = kNoDeadline;
  int64_t now_ns_ = kSimBoot_ns;
  uint64_t switches_ = 0;
};

}  // namespace myfs::sim
