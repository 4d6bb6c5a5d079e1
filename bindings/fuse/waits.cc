#include "bindings/fuse/waits.h"

#include <thread>
#include <utility>

namespace bridge {

void Waits::start(std::function<void()> body) {
  {
    std::lock_guard lock(mutex_);
    ++threads_;
  }
  std::thread([this, body = std::move(body)] {
    body();
    std::lock_guard lock(mutex_);
    if (--threads_ == 0) ended_.notify_all();
  }).detach();
}

bool Waits::enter(myfs_cancel* token) {
  std::lock_guard lock(mutex_);
  if (stopped_) return false;
  waiting_.insert(token);
  return true;
}

void Waits::leave(myfs_cancel* token) {
  std::lock_guard lock(mutex_);
  waiting_.erase(token);
}

void Waits::stop() {
  std::unique_lock lock(mutex_);
  stopped_ = true;
  for (myfs_cancel* token : waiting_) myfs_cancel_fire(token);
  ended_.wait(lock, [this] { return threads_ == 0; });
}

}  // namespace bridge
