// myfs_async: what the C interface's queue of asynchronous operations stands for; the executor that
// all queues of the process share; the list of queues by which a task ends them.
// Kernel counterpart: io_uring_setup, io_uring_release.
// Thread safety: as <myfs/async.h> says.
// Lock rank: kCall for the lists; nothing is called under them.
// Owns / is owned by: the embedder owns a myfs_async, which shares its Queue with the list of its
// task; each Queue shares the executor.
#pragma once

#include <myfs/async.h>

#include <memory>
#include <vector>

#include "sdk/async/queue.h"
#include "sdk/base/result.h"
#include "sdk/base/sync.h"
#include "sdk/uv/fork_guard.h"

namespace myfs::api {

// Of a task.
class AsyncQueues {
 public:
  void add(std::shared_ptr<async::Queue> queue);
  void remove(const std::shared_ptr<async::Queue>& queue);
  // Nothing is under way in any of them afterwards, nor enters.
  void close();

 private:
  Mutex mutex_{LockRank::kCall};
  std::vector<std::shared_ptr<async::Queue>> queues_ ABSL_GUARDED_BY(mutex_);
};

// Lives as long as a queue. EAGAIN: no thread.
Result<std::shared_ptr<async::Executor>> async_executor();

}  // namespace myfs::api

struct myfs_async {
  const myfs::uv_io::ForkGuard fork_guard;
  myfs_task* task;  // good inside queue->enter() ... leave()
  std::shared_ptr<myfs::api::AsyncQueues> of_task;
  std::shared_ptr<myfs::async::Queue> queue;
};
