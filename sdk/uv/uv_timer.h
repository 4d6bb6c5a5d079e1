// Timer: runs a function inside the loop at a point of time; may be set again and again.
// Kernel counterpart: struct timer_list (mod_timer, timer_delete).
// Thread safety: only inside the loop.
// Owns / is owned by: owned by its user; must die before its EventPort.
// Race conditions: none; after disarm() or destruction the function does not run.
#pragma once

#include <kj/async.h>

#include <cstdint>
#include <functional>

#include "sdk/uv/event_port.h"

namespace myfs::uv_io {

class Timer {
 public:
  Timer(EventPort& port, std::function<void()> fn);
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Replaces an earlier setting. boottime_ns scale; a time that has passed fires in the next turn.
  // The function may arm the timer again; it must not destroy it.
  void arm_at(int64_t deadline_ns);
  void arm_after(int64_t delay_ns);
  void disarm();
  bool armed() const { return armed_; }

 private:
  EventPort& port_;
  const std::function<void()> fn_;
  bool armed_ = false;
  kj::Maybe<kj::Promise<void>> pending_;
  kj::Maybe<kj::Promise<void>>
      fired_;  // keeps the promise that runs fn_ alive while fn_ arms the timer again
};

}  // namespace myfs::uv_io
