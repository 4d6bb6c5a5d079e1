// Queues of asynchronous operations: made, served, ended.
#include "sdk/api/async_queue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "sdk/api/call_scope.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;
using async::Queue;

namespace myfs::api {

void AsyncQueues::add(std::shared_ptr<Queue> queue) {
  MutexLock lock(mutex_);
  queues_.push_back(std::move(queue));
}

void AsyncQueues::remove(const std::shared_ptr<Queue>& queue) {
  MutexLock lock(mutex_);
  std::erase(queues_, queue);
}

void AsyncQueues::close() {
  std::vector<std::shared_ptr<Queue>> queues;
  {
    MutexLock lock(mutex_);
    queues = queues_;
  }
  for (const auto& queue : queues) queue->close();
}

Result<std::shared_ptr<async::Executor>> async_executor() {
  static Mutex mutex{LockRank::kUnranked};
  static auto* const current = new std::weak_ptr<async::Executor>;
  static uint64_t generation = 0;
  MutexLock lock(mutex);
  // That of the parent process has no threads here.
  const uint64_t now = uv_io::fork_generation();
  const bool same_process = std::exchange(generation, now) == now;
  if (same_process) {
    if (auto found = current->lock()) return found;
  }
  MYFS_ASSIGN(std::unique_ptr<async::Executor> made, async::Executor::create());
  std::shared_ptr<async::Executor> executor = std::move(made);
  *current = executor;
  return executor;
}

namespace {

Result<void> make_queue(myfs_task* task, const myfs_async_options* options, myfs_async** out) {
  if (out == nullptr) return fail(Errno(EINVAL), "there is no place for the result");
  myfs_async_options wanted{sizeof(myfs_async_options), MYFS_ASYNC_SERVICE, 0};
  if (options != nullptr) {
    if (options->size != sizeof wanted) {
      return fail(Errno(EINVAL), absl::StrCat("myfs_async_options.size=", options->size,
                                              ": must be ", sizeof wanted));
    }
    wanted = *options;
  }
  if (wanted.workers > async::kWorkersMax) {
    return fail(Errno(EINVAL), absl::StrCat("myfs_async_options.workers=", wanted.workers,
                                            ": must be 0..", async::kWorkersMax));
  }
  const bool thread = wanted.callbacks == MYFS_ASYNC_THREAD;
  if (!thread && wanted.callbacks != MYFS_ASYNC_SERVICE) {
    return fail(Errno(EINVAL), "myfs_async_options.callbacks: unknown");
  }
  MYFS_ASSIGN(auto executor, async_executor());
  MYFS_ASSIGN(
      auto made,
      Queue::create(std::move(executor), thread ? Queue::Mode::kThread : Queue::Mode::kServed,
                    wanted.workers == 0 ? async::kWorkersDefault : wanted.workers));
  std::shared_ptr<Queue> queue = std::move(made);
  task->queues->add(queue);
  *out = new myfs_async{{}, task, task->queues, std::move(queue)};
  return {};
}

}  // namespace
}  // namespace myfs::api

extern "C" {

int myfs_async_create(myfs_task* task, const myfs_async_options* options, myfs_async** queue) {
  CallScope scope(task, nullptr, "async_create");
  return scope.run([&] { return api::make_queue(task, options, queue); });
}

int myfs_async_destroy(myfs_async* queue) {
  if (queue == nullptr) return 0;
  // The parent's threads are at it.
  if (!queue->fork_guard.same_process()) return 0;
  if (queue->queue->in_callback()) return -EDEADLK;
  queue->queue->close();
  queue->of_task->remove(queue->queue);
  queue->queue->drain();
  delete queue;
  return 0;
}

int myfs_async_fd(myfs_async* queue) {
  if (queue == nullptr) return -EINVAL;
  if (!queue->fork_guard.same_process()) return -ESTALE;
  return queue->queue->fd() >= 0 ? queue->queue->fd() : -EINVAL;
}

int myfs_service(myfs_async* queue, int max) {
  if (queue == nullptr || max < 1) return -EINVAL;
  if (!queue->fork_guard.same_process()) return -ESTALE;
  auto served = queue->queue->serve(max);
  return served.ok() ? *served : -served.error().value();
}

}  // extern "C"
