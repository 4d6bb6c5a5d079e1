// Op: one asynchronous operation.
// Kernel counterpart: struct io_kiocb (io_uring).
// Thread safety: step(), run(), end(), try_unhook(), unhook(), deliver(): by one thread at a time,
// which the Executor sees to; wake() and cancel() by any.
// Owns / is owned by: the Executor from start() on, then its Queue, which destroys it after
// deliver().
// Life: step() on the thread that submits it; kParked: again when it is woken, on the executor's
// own thread; kBlocked: run() on a worker. Whatever happens it ends once: by step() or run(), or by
// end(), if it was cancelled or its deadline passed while no thread was at it. Then unhook(), or
// try_unhook() off the workers, then the queue, then deliver().
// Race conditions: wake() and cancel() may come at any time until unhook() has returned.
#pragma once

#include <cstdint>

#include "sdk/base/call_context.h"
#include "sdk/base/errno.h"
#include "sdk/base/waker.h"

namespace myfs::async {

class Executor;
class Queue;

class Op : public Waker {
 public:
  virtual ~Op() = default;
  Op(const Op&) = delete;
  Op& operator=(const Op&) = delete;

  enum class Progress : uint8_t { kDone, kParked, kBlocked };

  // Something has come: step() again. Leaf.
  void wake() final;
  // Makes it end soon. Holding kCall at most.
  void cancel();
  bool cancelled() const { return token_.cancelled(); }

 protected:
  // `token`: of this operation alone; run() is to heed it.
  Op(Queue& queue, CancelToken& token, int64_t deadline_ns)
      : queue_(queue), token_(token), deadline_ns_(deadline_ns) {}

  // As far as it goes without waiting.
  virtual Progress step() = 0;
  // To its end; may wait. It heeds the token and deadline_ns().
  virtual void run() = 0;
  // It came to nothing: ECANCELED, ETIMEDOUT.
  virtual void end(Errno error) = 0;
  // Lets go of all that might call wake() or cancel(), and of what the task must outlive; may wait.
  virtual void unhook() = 0;
  // The same as far as it goes without waiting. False: unhook() does the rest, on a worker.
  virtual bool try_unhook() = 0;
  // Tells the user, holding nothing.
  virtual void deliver() = 0;

  int64_t deadline_ns() const { return deadline_ns_; }

 private:
  friend class Executor;
  friend class Queue;

  enum class State : uint8_t {
    kStepping,  // a thread is at it
    kWoken,     // a thread is at it, and it was woken meanwhile
    kParked,
    kReady,    // woken, waits for the executor's thread
    kQueued,   // waits for a worker
    kRunning,  // a worker is at it, to its end
    kEnded,
  };

  Queue& queue_;
  CancelToken& token_;
  const int64_t deadline_ns_;

  // Guarded by the executor's mutex.
  State state_ = State::kStepping;
  bool timed_ = false;     // among the deadlines
  bool finishes_ = false;  // queued for unhook() alone
  Op* next_ = nullptr;     // queue of the workers
  Op* prev_ = nullptr;

  // Guarded by the queue's mutex.
  Op* flight_next_ = nullptr;
  Op* flight_prev_ = nullptr;
};

}  // namespace myfs::async
