// Waker: how who waits without a thread is told that what he waits for may have come.
// Kernel counterpart: wait_queue_func_t with struct wait_queue_entry (include/linux/wait.h).
// Thread safety: wake() from any thread, any number of times.
// Lock rank: wake() runs under leaf locks up to kSession: it may only queue, in a list of rank
// kLoop.
// Owns / is owned by: whoever waits owns it, and takes it out of all places before it dies.
#pragma once

namespace myfs {

class Waker {
 public:
  virtual void wake() = 0;

 protected:
  ~Waker() = default;
};

}  // namespace myfs
