// IoPool: runs what may block away from the shard's loop, and brings the result back to it.
// Kernel counterpart: a workqueue (kernel/workqueue.c).
// Thread safety: run() from the loop; the rest as each class says.
// Owns / is owned by: owned by the server, destroyed after the shard has gone idle.
// Invariants: (1) `done` runs on the loop, once, after `work` returned, unless the pool or the loop
// was stopped first; then both are destroyed unrun. (2) No order between two jobs.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "sdk/base/sync.h"

namespace myfs::server {

using Job = absl::AnyInvocable<void()>;
// Runs a function on the loop soon; any thread may call it.
using PostFn = std::function<void(Job)>;

class IoPool {
 public:
  virtual ~IoPool() = default;
  virtual void run(Job work, Job done) = 0;
};

// N threads.
class ThreadIoPool : public IoPool {
 public:
  ThreadIoPool(int threads, PostFn post);
  ~ThreadIoPool() override;  // stop()
  void run(Job work, Job done) override;
  // Lets running work end, drops the rest, joins. Idempotent.
  void stop();

 private:
  struct Item {
    Job work, done;
  };
  void serve();

  const PostFn post_;
  Mutex mutex_{LockRank::kStore};
  CondVar wake_;
  std::deque<Item> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Thread> threads_;
};

// One job at a time, when the test or simulator says so, on the thread that says so.
class ManualIoPool : public IoPool {
 public:
  void run(Job work, Job done) override { queue_.push_back({std::move(work), std::move(done)}); }
  size_t waiting() const { return queue_.size(); }
  // Runs the work and then the done of the job at `index`. False: there is none.
  bool step(size_t index = 0);
  // Until nothing is left.
  void run_all();
  void drop_all() { queue_.clear(); }

 private:
  struct Item {
    Job work, done;
  };
  std::deque<Item> queue_;
};

}  // namespace myfs::server
