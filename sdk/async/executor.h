// Executor: where the asynchronous operations of a process are carried out: one thread for those
// that never wait, a bounded pool of workers for those that do.
// Kernel counterpart: io-wq and task_work of io_uring (io_uring/io-wq.c).  Differs: bounded for all
// kinds of work, first come first served; steps have a thread of their own, so that they go on
// whatever the workers wait for.
// Thread safety: all.
// Lock rank: kLoop: wake() is called under leaf locks.
// Owns / is owned by: shared by the queues of a process; without queues there are no operations,
// and its threads end.
// Invariants: (1) an operation is at one place at a time: with a thread, parked, ready, queued or
// ended (Op::State); (2) an operation ends once; (3) user code runs on none of its threads.
// Fork: an Executor is of the process that made it; in a child it is leaked and another one is made
// (api/async_queue).
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <set>
#include <utility>

#include "sdk/async/op.h"
#include "sdk/base/result.h"
#include "sdk/base/sync.h"

namespace myfs::async {

inline constexpr unsigned kWorkersDefault = 16;
inline constexpr unsigned kWorkersMax = 64;

class Executor {
 public:
  // EAGAIN: no thread.
  static Result<std::unique_ptr<Executor>> create();
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // The bound is the largest that anybody asks for at the moment; workers beyond it leave when they
  // have done what they are at. 1..kWorkersMax.
  void add_bound(unsigned workers);
  void remove_bound(unsigned workers);

  // Takes the operation over and goes on with it as far as it goes on this thread without waiting.
  void start(Op& op);
  void wake(Op& op);

  unsigned workers() const;

 private:
  Executor() = default;
  using State = Op::State;

  // `op` is this thread's.
  void advance(Op& op);
  void finish(Op& op);
  bool give_up(Op& op);
  // False: it was woken before it was parked.
  bool park(Op& op);
  void queue_for_worker(Op& op, bool finishes);

  void ready_locked(Op& op) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void link_locked(Op& op) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void unlink_locked(Op& op) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void expire_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void forget_deadline_locked(Op& op) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Op* take_queued_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void work(Op& op);
  void run_steps();
  void run_worker(std::list<Thread>::iterator self);
  void start_worker();
  bool too_many_locked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  unsigned bound_locked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Joins the workers that have left.
  void reap();

  mutable Mutex mutex_{LockRank::kLoop};
  CondVar steps_;  // something is ready, or a nearer deadline
  CondVar work_;   // something is queued
  std::deque<Op*> ready_ ABSL_GUARDED_BY(mutex_);
  Op* first_ ABSL_GUARDED_BY(mutex_) = nullptr;  // queued for a worker
  Op* last_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::set<std::pair<int64_t, Op*>> deadlines_ ABSL_GUARDED_BY(mutex_);
  std::multiset<unsigned> bounds_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool stepper_sleeps_ ABSL_GUARDED_BY(mutex_) = false;
  size_t queued_ ABSL_GUARDED_BY(mutex_) = 0;
  unsigned idle_ ABSL_GUARDED_BY(mutex_) = 0;
  unsigned running_ ABSL_GUARDED_BY(mutex_) = 0;  // workers, idle or not
  std::list<Thread> workers_ ABSL_GUARDED_BY(mutex_);
  std::list<Thread> left_ ABSL_GUARDED_BY(mutex_);  // and to be joined
  Thread stepper_;
};

}  // namespace myfs::async
