#include "bindings/fuse/lease_cache.h"

#include <algorithm>
#include <utility>

namespace bridge {

void LeaseCache::start(std::unique_ptr<KernelCache> kernel) {
  kernel_ = std::move(kernel);
  thread_ = std::thread([this] { notify(); });
}

bool LeaseCache::listen(myfs_inode* root) {
  return myfs_ll_listen(root, &LeaseCache::on_invalidate, this, &listener_) == 0;
}

void LeaseCache::stop() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(queue_mutex_);
    stopping_ = true;
  }
  queue_changed_.notify_all();
  job_done_.notify_all();
  myfs_ll_unlisten(std::exchange(listener_, nullptr));
  thread_.join();
}

// --- answers

LeaseCache::Window::Window(LeaseCache* cache, uint64_t since) : cache_(cache) {
  if (cache_ == nullptr) return;
  lock_ = std::shared_lock(cache_->replies_);
  open_ = cache_->moment() == since && cache_->jobs_.load() == 0;
}

double LeaseCache::Window::timeout(int64_t keep_ms) {
  if (!open_ || keep_ms <= 0) return 0;
  const int64_t given_ms = std::min<int64_t>(keep_ms, kTimeout.count());
  const auto end = Clock::now().time_since_epoch() + std::chrono::milliseconds(given_ms);
  Clock::rep last = cache_->run_out_.load();
  while (last < end.count() && !cache_->run_out_.compare_exchange_weak(last, end.count())) {
  }
  return static_cast<double>(given_ms) / 1000;
}

double LeaseCache::Window::name_timeout(fuse_ino_t dir, const char* name, int64_t keep_ms) {
  const double seconds = timeout(keep_ms);
  if (seconds == 0) return 0;
  std::lock_guard lock(cache_->names_mutex_);
  return cache_->names_.add(dir, name, Clock::now()) ? seconds : 0;
}

// --- invalidations

void LeaseCache::on_invalidate(void* self, const myfs_invalidation* what) {
  static_cast<LeaseCache*>(self)->invalidate(*what);
}

LeaseCache::Names LeaseCache::take_names(fuse_ino_t dir) {
  std::lock_guard lock(names_mutex_);
  return names_.take(dir);
}

// Answers that are being written come first; those that come later see the new moment.
void LeaseCache::end_windows() {
  std::unique_lock lock(replies_);
  moment_.fetch_add(1, std::memory_order_acq_rel);
}

void LeaseCache::invalidate(const myfs_invalidation& what) {
  end_windows();
  // Everything: no list is as fast as the time-outs.
  if (what.ino == 0) return;
  const Clock::time_point all_run_out(Clock::duration(run_out_.load()) + kSlack);
  if (all_run_out <= Clock::now()) return;  // nothing is kept
  const fuse_ino_t ino = nodes_.number_of(what.ino);
  Names names;
  if ((what.what & MYFS_INVAL_NAMES) != 0) names = take_names(ino);
  const std::shared_ptr<Job> job = post(ino, true, std::move(names));
  std::unique_lock lock(queue_mutex_);
  job_done_.wait_until(lock, all_run_out, [&] { return job->done || stopping_; });
}

void LeaseCache::forget_names(fuse_ino_t dir) {
  end_windows();
  Names names = take_names(dir);
  if (!names.empty()) post(dir, false, std::move(names));
}

std::shared_ptr<LeaseCache::Job> LeaseCache::post(fuse_ino_t ino, bool attr, Names names) {
  auto job = std::make_shared<Job>();
  job->ino = ino;
  job->attr = attr;
  job->names = std::move(names);
  jobs_.fetch_add(1);
  {
    std::lock_guard lock(queue_mutex_);
    queue_.push_back(job);
  }
  queue_changed_.notify_one();
  return job;
}

void LeaseCache::notify() {
  std::unique_lock lock(queue_mutex_);
  while (true) {
    queue_changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    const std::shared_ptr<Job> job = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    if (job->attr) kernel_->forget_attr(job->ino);
    for (const std::string& name : job->names) {
      kernel_->forget_name(job->ino, name);
    }
    jobs_.fetch_sub(1);
    lock.lock();
    job->done = true;
    job_done_.notify_all();
  }
}

}  // namespace bridge
