#include "bindings/fuse/lease_cache.h"

#include <algorithm>
#include <utility>

namespace bridge {

bool LeaseCache::start(fuse_session* session, myfs_inode* root) {
  session_ = session;
  thread_ = std::thread([this] { notify(); });
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
  open_ = cache_->moment() == since;
}

double LeaseCache::Window::timeout(int64_t keep_ms) const {
  if (!open_) return 0;
  return static_cast<double>(std::min<int64_t>(keep_ms, kTimeout.count())) / 1000;
}

double LeaseCache::Window::name_timeout(fuse_ino_t dir, const char* name, int64_t keep_ms) {
  const double seconds = timeout(keep_ms);
  if (seconds == 0) return 0;
  std::lock_guard lock(cache_->names_mutex_);
  if (cache_->names_count_ >= kNamesMax) return 0;
  if (cache_->names_[dir].insert(name).second) ++cache_->names_count_;
  return seconds;
}

// --- invalidations

void LeaseCache::on_invalidate(void* self, const myfs_invalidation* what) {
  static_cast<LeaseCache*>(self)->invalidate(*what);
}

LeaseCache::Names LeaseCache::take_names(fuse_ino_t dir) {
  std::lock_guard lock(names_mutex_);
  auto found = names_.find(dir);
  if (found == names_.end()) return {};
  Names taken = std::move(found->second);
  names_count_ -= taken.size();
  names_.erase(found);
  return taken;
}

void LeaseCache::invalidate(const myfs_invalidation& what) {
  {
    // Answers that are being written come first; those that come later see the new moment.
    std::unique_lock lock(replies_);
    moment_.fetch_add(1, std::memory_order_acq_rel);
  }
  const auto all_run_out = std::chrono::steady_clock::now() + kTimeout + kSlack;
  // Everything: no list is as fast as the time-outs.
  if (what.ino == 0) return;
  const fuse_ino_t ino = nodes_.number_of(what.ino);
  Names names;
  if ((what.what & MYFS_INVAL_NAMES) != 0) names = take_names(ino);
  const std::shared_ptr<Job> job = post(ino, true, std::move(names));
  std::unique_lock lock(queue_mutex_);
  job_done_.wait_until(lock, all_run_out, [&] { return job->done || stopping_; });
}

void LeaseCache::forget_names(fuse_ino_t dir) {
  Names names = take_names(dir);
  if (!names.empty()) post(dir, false, std::move(names));
}

std::shared_ptr<LeaseCache::Job> LeaseCache::post(fuse_ino_t ino, bool attr, Names names) {
  auto job = std::make_shared<Job>();
  job->ino = ino;
  job->attr = attr;
  job->names = std::move(names);
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
    // Attributes alone: the kernel keeps no content (bridge.h). What it does not know is no error.
    if (job->attr) fuse_lowlevel_notify_inval_inode(session_, job->ino, -1, 0);
    for (const std::string& name : job->names) {
      fuse_lowlevel_notify_inval_entry(session_, job->ino, name.data(), name.size());
    }
    lock.lock();
    job->done = true;
    job_done_.notify_all();
  }
}

}  // namespace bridge
