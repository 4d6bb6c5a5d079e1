#include "sdk/netfs/recall.h"

#include <utility>

#include "sdk/base/clock.h"

namespace myfs::netfs {

void RecallWorker::post(Work work) {
  MutexLock lock(mutex_);
  if (stopping_) return;
  queue_.push_back(std::move(work));
  grow_locked();
  wake_.notify_one();
}

void RecallWorker::post_at(int64_t at_ns, Work work) {
  MutexLock lock(mutex_);
  if (stopping_) return;
  later_.emplace(at_ns, std::move(work));
  grow_locked();
  wake_.notify_one();
}

void RecallWorker::grow_locked() {
  // One thread at least; another one for each piece of work that finds nobody idle.
  const bool needed = threads_.empty() || queue_.size() > idle_;
  if (!needed || threads_.size() >= kRecallThreadsMax) return;
  ++idle_;  // counted before it starts, so that a burst does not start too many
  threads_.emplace_back("myfs-recall", [this] { run(); });
}

void RecallWorker::run() {
  mutex_.lock();
  while (!stopping_) {
    const int64_t now = boottime_ns();
    while (!later_.empty() && later_.begin()->first <= now) {
      queue_.push_back(std::move(later_.begin()->second));
      later_.erase(later_.begin());
    }
    if (queue_.empty()) {
      const int64_t until = later_.empty() ? kNoDeadline : later_.begin()->first;
      (void)wake_.wait_until(mutex_, until);
      continue;
    }
    Work work = std::move(queue_.front());
    queue_.pop_front();
    --idle_;
    ++busy_;
    grow_locked();
    mutex_.unlock();
    work();
    work = nullptr;
    mutex_.lock();
    ++idle_;
    --busy_;
    if (busy_ == 0 && queue_.empty()) idle_changed_.notify_all();
  }
  --idle_;
  mutex_.unlock();
}

bool RecallWorker::drain(int64_t deadline_ns) {
  MutexLock lock(mutex_);
  while (!stopping_ && (busy_ != 0 || !queue_.empty())) {
    if (!idle_changed_.wait_until(mutex_, deadline_ns)) return false;
  }
  return true;
}

void RecallWorker::stop() {
  std::vector<Thread> threads;
  std::deque<Work> queue;
  std::multimap<int64_t, Work> later;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    threads.swap(threads_);
    queue.swap(queue_);
    later.swap(later_);
    wake_.notify_all();
    idle_changed_.notify_all();
  }
  for (Thread& thread : threads) thread.join();
}

}  // namespace myfs::netfs
