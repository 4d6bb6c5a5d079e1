// SimEventPort: the event port of a simulation: time is the simulator's, sleep is SimHooks::wait,
// wires are Sources.
// Kernel counterpart: none.
// Thread safety: kick(), wake() any simulated thread; the rest only the driver.
// Owns / is owned by: owned by Loop; borrows its sources.
// Invariants: (1) simulated threads run one at a time, so nothing comes between the last look and
// the wait;
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

  void add_source(Source& source) { sources_.push_back(&source); }
  void remove_source(Source& source);

 private:
  bool look();

  std::vector<Source*> sources_;
  mutable std::atomic<bool> woken_{false};
};

}  // namespace myfs::uv_io
