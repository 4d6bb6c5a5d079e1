#include "bindings/fuse/calls.h"

namespace bridge {

Calls& Calls::all() {
  static auto* const calls = new Calls;
  return *calls;
}

myfs_cancel* Calls::make() {
  myfs_cancel* const token = myfs_cancel_create();
  std::lock_guard lock(mutex_);
  tokens_.insert(token);
  if (stopped_) myfs_cancel_fire(token);
  return token;
}

void Calls::drop(myfs_cancel* token) {
  std::lock_guard lock(mutex_);
  tokens_.erase(token);
  myfs_cancel_destroy(token);
}

void Calls::stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  for (myfs_cancel* token : tokens_) myfs_cancel_fire(token);
}

}  // namespace bridge
