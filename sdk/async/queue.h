// Queue: the asynchronous operations that one user has under way, and those whose end he has not
// been told yet.
// Kernel counterpart: struct io_ring_ctx with its completion queue (io_uring).  Differs:
// completions are called back, by who serves the queue or by a thread of its own.
// Thread safety: all.
// Lock rank: kCall; tokens of operations are nested in it.
// Owns / is owned by: the user's myfs_async; owns the operations under way.
// Invariants: (1) each operation that entered is delivered exactly once; (2) the descriptor is
// readable while and only while something waits to be served; (3) callbacks run without locks, one
// at a time on the callback thread; (4) after close() nothing enters, and nothing is under way.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>

#include "sdk/async/executor.h"
#include "sdk/base/result.h"
#include "sdk/base/sync.h"

namespace myfs::async {

// Of one queue, under way or not served yet.
inline constexpr size_t kOpsMax = 262'144;

class Queue {
 public:
  enum class Mode : uint8_t { kServed, kThread };
  // EMFILE, ENFILE, EAGAIN (no thread).
  static Result<std::unique_ptr<Queue>> create(std::shared_ptr<Executor> executor, Mode mode,
                                               unsigned workers);
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  // A submission begins; what it works on stays until leave(). ESTALE: closed; EAGAIN: full.
  Errno enter();
  void leave();
  // Inside enter() ... leave(). Takes over an operation that is still to be carried out,
  void start(std::unique_ptr<Op> op);
  // or one that is over already.
  void completed(std::unique_ptr<Op> op);

  // Runs up to `max` callbacks that wait; their number. EDEADLK: from a callback of this queue.
  Result<int> serve(int max);
  // -1: callbacks have a thread.
  int fd() const { return event_fd_; }
  bool in_callback() const;

  // Cancels what is under way and waits until all of it is over; not for the callbacks.
  void close();
  // Runs the callbacks that are left. After close(); not from a callback of this queue.
  void drain();

  Executor& executor() { return *executor_; }

 private:
  friend class Executor;
  Queue(std::shared_ptr<Executor> executor, Mode mode, unsigned workers);
  // By the executor, for what start() took over.
  void ended(Op& op);
  void push(Op& op, bool in_flight);
  Op* pop();
  void deliver(Op* op);
  void run_callbacks();

  const std::shared_ptr<Executor> executor_;
  const Mode mode_;
  const unsigned workers_;
  int event_fd_ = -1;

  std::atomic<int64_t> active_{1};  // submissions and operations under way, and 1 until close()
  std::atomic<size_t> held_{0};     // operations that are not delivered
  std::atomic<bool> closed_{false};

  Mutex mutex_{LockRank::kCall};
  CondVar idle_;     // active_ came to 0
  CondVar arrived_;  // for the callback thread
  Op* flight_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::deque<Op*> completions_ ABSL_GUARDED_BY(mutex_);
  bool idle_now_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  Thread thread_;
};

}  // namespace myfs::async
