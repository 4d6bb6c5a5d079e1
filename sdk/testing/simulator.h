// Simulator: runs real threads one at a time under a seeded scheduler, on a clock that jumps.
// Kernel counterpart: none (rr's chaos mode and FoundationDB's simulator are the nearest).
// Thread safety: run() one thread; SimHooks as they say; trace() between simulated threads.
// Owns / is owned by: owned by a test; installs itself as g_sim_hooks for the time of run().
// Invariants: (1) exactly one simulated thread runs at any time; (2) every choice is drawn from the
// seed, and nothing else (no pointer, no hash order, no real time) decides what happens; (3) the
// clock moves only when every thread waits, to the earliest deadline, and by kTickPerLook_ns at
// each look at it, so that loops over the clock end; (4) when all wait without a deadline the run
// is dead: it aborts with who waits.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

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

class Simulator final : public SimHooks {
 public:
  struct Options {
    uint64_t seed = 1;
    uint64_t switch_one_in = 4;  // how often a yield point lets another thread run
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
  // Without a tick: for whoever must not move the clock.
  int64_t now_ns() const { return now_ns_; }
  uint64_t switches() const { return switches_; }

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
  struct SimThread {
    uint32_t id = 0;
    std::string name;
    State state = State::kRunnable;
    const void* channel = nullptr;
    int64_t deadline_ns = kNoDeadline;
    bool timed_out = false;
    bool has_baton = false;
    std::condition_variable baton;
    std::thread::id os_id;
  };

  SimThread* add_thread(std::string name);
  // Gives the baton on and waits until it comes back. The state of `self` is set already.
  void switch_away(std::unique_lock<std::mutex>& lock, SimThread* self);
  SimThread* choose(SimThread* self);
  void jump_to_next_deadline();
  void wake_locked(const void* channel);
  [[noreturn]] void die_of_deadlock();

  const Options options_;
  SimRandom schedule_random_;
  SimRandom world_random_;
  SimRandom program_random_;  // what the code under test draws
  Trace trace_;
  std::mutex mutex_;  // raw: this is what base/sync stands on here
  std::vector<std::unique_ptr<SimThread>> threads_;
  int64_t now_ns_ = kSimBoot_ns;
  uint64_t switches_ = 0;
  bool over_ = false;
};

}  // namespace myfs::sim
