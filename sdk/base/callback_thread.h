// CallbackThread: calls functions of the application, one after the other, on a thread of its own.
// Kernel counterpart: a single-threaded workqueue (alloc_ordered_workqueue).  Differs: what runs is
// not ours: it may wait, call the library, and end the very thing that the thread belongs to.
// Thread safety: all; post() may be called under leaf locks and inside the loop.
// Lock rank: kSession, released while a function runs.
// Owns / is owned by: part of whoever has something to tell; its thread, made by the first post(),
// owns what it needs.
// Invariants: (1) what was posted runs exactly once, in order, also what is left at stop(), or
// never after it; (2) drain() and stop() wait for nothing when such a thread, of whomever, calls
// them.
#pragma once

#include <deque>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "sdk/base/sync.h"

namespace myfs {

class CallbackThread {
 public:
  using Work = absl::AnyInvocable<void()>;

  CallbackThread();
  ~CallbackThread() { stop(); }
  CallbackThread(const CallbackThread&) = delete;
  CallbackThread& operator=(const CallbackThread&) = delete;

  void post(Work work);
  // Waits until everything that was posted before has run.
  void drain();
  // What is left runs, then the thread ends; idempotent.
  void stop();

  // Whether the calling thread is such a thread, of whomever: who would have to wait for its
  // function to return must not begin to.
  static bool inside();
  // Whether it is this one.
  bool is_current() const;

 private:
  struct State;
  static void run(const std::shared_ptr<State>& state);

  const std::shared_ptr<State> state_;
};

}  // namespace myfs
