// EventPort: what a KJ event loop of ours needs from below: sleep, timers, flush before sleep, wake
// from outside. Kernel counterpart: none (an epoll instance with its wait queue is the nearest).
// Thread safety: wake() and kick() any thread; everything else only the thread that drives the
// loop. Owns / is owned by: owned by Loop; owns the kj::EventLoop and the timer queue. Streams and
// timers borrow it and die before it. Invariants: (1) flush hooks run before every look for events,
// so nothing queued waits through a sleep; (2) the timer queue is advanced to the present after
// every look for events; (3) poll() leaves no watcher change unapplied, so that a foreign thread
// may sleep on backend_fd() while nobody drives.
#pragma once

#include <kj/async.h>
#include <kj/timer.h>
#include <uv.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace myfs::uv_io {

// The scale of boottime_ns() as KJ counts it, and back.
inline kj::TimePoint kj_time(int64_t boottime_ns) {
  return kj::origin<kj::TimePoint>() + boottime_ns * kj::NANOSECONDS;
}

class EventPort : public kj::EventPort {
 public:
  // Work that is put off until the KJ queue has run dry: coalesced sends.
  class FlushHook {
   public:
    virtual void flush() = 0;

   protected:
    ~FlushHook() = default;

   private:
    friend class EventPort;
    bool flush_queued_ = false;
  };

  EventPort();
  virtual ~EventPort() noexcept(false);
  EventPort(const EventPort&) = delete;
  EventPort& operator=(const EventPort&) = delete;

  kj::EventLoop& kj_loop() { return *kj_loop_; }
  kj::Timer& timer() { return timers_; }

  void flush_soon(FlushHook& hook);
  void forget(FlushHook& hook);

  // Called before every sleep and in every turn of a spin: takes in what other threads have
  // submitted. True: something came.
  void set_drain(std::function<bool()> drain) { drain_ = std::move(drain); }

  // Longest spin before a sleep of wait(); 0 never spins.
  void set_spin_ns(int64_t spin_ns) { spin_ns_ = spin_ns; }
  int64_t spin_ns() const { return spin_ns_; }

  // Ends the present or the next sleep of the driver. Any thread. Costs a system call only when the
  // driver may sleep.
  virtual void kick() const = 0;

  // The loop below, null in a simulation.
  virtual uv_loop_t* uv() { return nullptr; }
  // Readable while events wait to be taken in by poll(); -1 in a simulation.
  virtual int backend_fd() const { return -1; }
  // boottime_ns() at which the earliest timer is due; kNoDeadline if there is none.
  virtual int64_t next_timer_ns();
  // Closes the descriptors of this port without any other action: for a child after fork().
  virtual void abandon_in_child() = 0;

 protected:
  void run_flush_hooks();
  void advance_timers();
  bool drain() { return drain_ && drain_(); }

  kj::TimerImpl timers_;

 private:
  std::unique_ptr<kj::EventLoop> kj_loop_;
  std::vector<FlushHook*> flush_queue_;
  std::vector<FlushHook*> flushing_;
  std::function<bool()> drain_;
  int64_t spin_ns_ = 0;
};

// The port for this thread's world: over libuv, or simulated when a simulator owns the calling
// thread. Null with errno-style `*error` when the kernel refuses descriptors.
std::unique_ptr<EventPort> make_event_port(int* error);

}  // namespace myfs::uv_io
