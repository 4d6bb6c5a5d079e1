// SimEventPort: the event port of a simulation: time is the simulator's, sleep is SimHooks::wait,
// wires are Sources.
// Kernel counterpart: none.
// Thread safety: kick(), wake() any simulated thread; the rest only the driver.
// Owns / is owned by: owned by Loop; borrows its sources.
// Invariants: (1) a kick that comes between the last look and the sleep keeps the port awake;
// (2) sources are asked in the order in which they were added.
#pragma once

#include <atomic>
#include <vector>

#include "sdk/uv/event_port.h"

namespace myfs::uv_io {

class SimEventPort final : public EventPort {
 public:
  // A simulated wire's receiving end.
  class Source {
   public:
    // Takes in what is due at `now_ns`.
    virtual void take_in(int64_t now_ns) = 0;
    // When something will be due; kNoDeadline: nothing under way.
    virtual int64_t next_ns() const = 0;

   protected:
    ~Source() = default;
  };

  SimEventPort() = default;

  bool wait() override;
  bool poll() override;
  void wake() const override;
  void setRunnable(bool) override {}
  void kick() const override;
  // Timers and sources.
  int64_t next_timer_ns() override;
  void abandon_in_child() override {}

  // From now on a kick is not lost: sleep() returns at once after one.
  void arm_kick() { kicked_.store(false, std::memory_order_relaxed); }
  // Until a kick, the next timer, or something due at a source. One thread at a time.
  void sleep();

  void add_source(Source& source) { sources_.push_back(&source); }
  void remove_source(Source& source);

 private:
  bool look();

  std::vector<Source*> sources_;
  mutable std::atomic<bool> woken_{false};
  mutable std::atomic<bool> kicked_{false};
};

}  // namespace myfs::uv_io
