// Loop: one I/O loop (KJ on libuv) and the rule by which threads drive it.
// Kernel counterpart: a workqueue bound to one CPU, with net.core.busy_poll for the spin.  Differs:
// in the mode of a client the threads that wait drive the loop themselves. Thread safety: post,
// submit, call, wait_for, run_sync, stop, in_loop: any thread. port(), timer(), tasks(): only
// inside the loop, that is in a function given to post & co. or in a promise's continuation.
// Lock rank: kLead for who drives; kLoop for the submission queue.
// Owns / is owned by: owns port, thread, tasks. Whatever lives on the loop (streams, RPC systems,
// timers) is destroyed by a function run inside the loop before stop(). Invariants: (1) one thread
// at a time drives; (2) the lead is held only while dispatching or spinning, never in a sleep, with
// signals blocked and cancellation disabled; (3) nothing submitted stays undispatched while nobody
// drives: who gives up the lead looks at the queue afterwards; (4) no user code runs inside the
// loop.
//
// Modes. kOwnThread: a thread of its own drives, spins adaptively and sleeps in the loop (servers).
// kLeaderFollower: a thread that waits for a reply takes the lead if it is free, dispatches and
// spins for at most the window; if the reply has not come it gives the lead up and sleeps. A
// background thread looks every millisecond while callers lead, and sleeps on the loop's descriptor
// when they do not, so that what the server asks is answered within a millisecond.
#pragma once

#include <kj/async.h>
#include <kj/timer.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "sdk/base/limits.h"
#include "sdk/base/result.h"
#include "sdk/base/sync.h"
#include "sdk/uv/event_port.h"

namespace myfs::uv_io {

class Loop {
 public:
  using Fn = absl::AnyInvocable<void()>;
  enum class Mode : uint8_t { kOwnThread, kLeaderFollower };
  struct Options {
    Mode mode = Mode::kLeaderFollower;
    std::string name = "myfs-io";       // of the thread
    int64_t spin_ns = kDefaultSpin_ns;  // 0: never spin
  };

  // EMFILE, ENFILE, ENOMEM, EAGAIN (no thread).
  static Result<std::unique_ptr<Loop>> create(Options options);
  // stop(), then frees. In a forked child of the creating process: closes descriptors and leaks the
  // rest.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs `fn` inside the loop soon, in order of submission. May be called under leaf locks and
  // inside the loop. `fn` must not throw, block or call wait_for(); if the loop stops first, `fn`
  // is destroyed unrun.
  void post(Fn fn);
  // As post(), but the calling thread drives one pass of the loop if the lead is free: what `fn`
  // sends is on its way on return. Not under leaf locks.
  void submit(Fn fn);
  // post(), then wait_for(): the way of every call that waits for its reply. `fn`, or what it
  // starts, sets `done`.
  bool call(Fn fn, Event& done, int64_t deadline_ns);
  // Waits until `done` is set from inside the loop; drives the loop meanwhile as the mode allows.
  // False at the deadline (boottime_ns scale) or when the loop has stopped. Inside the loop itself:
  // returns at once.
  bool wait_for(Event& done, int64_t deadline_ns);
  // Somebody waits for so many more replies (negative: fewer) without a thread of his: while it is
  // not 0, the background thread looks after the loop as for a thread that sleeps in wait_for().
  // Not under leaf locks.
  void expect(int replies);
  // Runs `fn` inside the loop and returns when it has run; at once when called inside the loop.
  // False: stopped.
  bool run_sync(Fn fn);

  // Drops what is queued, cancels tasks() inside the loop, ends the thread. Idempotent; EDEADLK
  // inside the loop.
  Errno stop();
  bool stopped() const;
  // Whether the calling thread is inside this loop.
  bool in_loop() const;

  EventPort& port();
  kj::Timer& timer() { return port().timer(); }
  // Promises that nobody waits for; what fails there is logged.
  kj::TaskSet& tasks();

  struct Stats {
    uint64_t caller_leads = 0;      // times that a waiting thread drove
    uint64_t background_leads = 0;  // times that the loop's own thread drove
    uint64_t spins_won = 0;         // spins that ended with what was waited for
    uint64_t spins_lost = 0;
    uint64_t kicks = 0;
  };
  Stats stats() const;

 private:
  class Impl;
  explicit Loop(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace myfs::uv_io
