#include "server/io_pool.h"

#include <string>
#include <utility>

namespace myfs::server {

ThreadIoPool::ThreadIoPool(int threads, PostFn post) : post_(std::move(post)) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back("myfsd-io" + std::to_string(i), [this] { serve(); });
  }
}

ThreadIoPool::~ThreadIoPool() { stop(); }

void ThreadIoPool::run(Job work, Job done) {
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    queue_.push_back({std::move(work), std::move(done)});
  }
  wake_.notify_one();
}

void ThreadIoPool::stop() {
  std::deque<Item> dropped;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    dropped.swap(queue_);
  }
  wake_.notify_all();
  dropped.clear();
  for (Thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void ThreadIoPool::serve() {
  for (;;) {
    Item item;
    {
      MutexLock lock(mutex_);
      while (queue_.empty() && !stopping_) wake_.wait(mutex_);
      if (stopping_) return;
      item = std::move(queue_.front());
      queue_.pop_front();
    }
    item.work();
    item.work = nullptr;
    post_(std::move(item.done));
  }
}

bool ManualIoPool::step(size_t index) {
  if (index >= queue_.size()) return false;
  Item item = std::move(queue_[index]);
  queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(index));
  item.work();
  item.done();
  return true;
}

void ManualIoPool::run_all() {
  while (step()) {
  }
}

}  // namespace myfs::server
