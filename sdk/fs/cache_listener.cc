#include "sdk/fs/cache_listener.h"

#include <algorithm>

namespace myfs::fs {

CacheListeners::Entry* CacheListeners::find_locked(const CacheListener& listener) {
  auto found = std::find_if(entries_.begin(), entries_.end(),
                            [&](const Entry& entry) { return entry.listener == &listener; });
  return found == entries_.end() ? nullptr : &*found;
}

void CacheListeners::add(CacheListener& listener) {
  MutexLock lock(mutex_);
  entries_.push_back({&listener, 0});
  count_.store(entries_.size(), std::memory_order_release);
}

void CacheListeners::remove(CacheListener& listener) {
  MutexLock lock(mutex_);
  // Looked up anew after each wait: others come and go.
  for (Entry* entry; (entry = find_locked(listener)) != nullptr;) {
    if (entry->running != 0) {
      idle_.wait(mutex_);
      continue;
    }
    entries_.erase(entries_.begin() + (entry - entries_.data()));
    count_.store(entries_.size(), std::memory_order_release);
    return;
  }
}

void CacheListeners::for_each(absl::FunctionRef<void(CacheListener&)> fn) {
  if (!any()) return;
  std::vector<CacheListener*> held;
  {
    MutexLock lock(mutex_);
    for (Entry& entry : entries_) {
      ++entry.running;
      held.push_back(entry.listener);
    }
  }
  for (CacheListener* listener : held) {
    fn(*listener);
    MutexLock lock(mutex_);
    --find_locked(*listener)->running;
    idle_.notify_all();
  }
}

void CacheListeners::invalidate(Inode& inode, LeaseParts parts) {
  for_each([&](CacheListener& listener) { listener.invalidate(inode, parts); });
}

void CacheListeners::invalidate_all() {
  for_each([](CacheListener& listener) { listener.invalidate_all(); });
}

}  // namespace myfs::fs
