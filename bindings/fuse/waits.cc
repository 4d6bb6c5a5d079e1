#include "bindings/fuse/waits.h"

#include <exception>
#include <thread>
#include <utility>

namespace bridge {

// No exception may leave it: below are libfuse's frames.
bool Waits::start(std::function<void()> body) {
  {
    std::lock_guard lock(mutex_);
    if (stopped_ || threads_ == threads_max_) return false;
    ++threads_;
  }
  auto ended = [this] {
    std::lock_guard lock(mutex_);
    if (--threads_ == 0) ended_.notify_all();
  };
  try {
    std::thread([ended, body = std::move(body)] {
      body();
      ended();
    }).detach();
  } catch (const std::exception&) {
    ended();
    return false;
  }
  return true;
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
