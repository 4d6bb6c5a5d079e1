#include "sdk/fs/cache_listener.h"

#include <algorithm>
#include <utility>

namespace myfs::fs {

namespace {
std::atomic<uint64_t> g_last_id{0};
// Whose function this thread runs; 0: nobody's.
thread_local uint64_t t_called = 0;
}  // namespace

CacheListeners::Entry* CacheListeners::find_locked(const CacheListener& listener) {
  auto found = std::find_if(entries_.begin(), entries_.end(),
                            [&](const Entry& entry) { return entry.listener == &listener; });
  return found == entries_.end() ? nullptr : &*found;
}

CacheListeners::Entry* CacheListeners::find_locked(uint64_t id) {
  auto found = std::find_if(entries_.begin(), entries_.end(),
                            [&](const Entry& entry) { return entry.id == id; });
  return found == entries_.end() ? nullptr : &*found;
}

void CacheListeners::add(CacheListener& listener) {
  MutexLock lock(mutex_);
  const uint64_t id = g_last_id.fetch_add(1, std::memory_order_relaxed) + 1;
  entries_.push_back({id, &listener, 0});
  count_.store(entries_.size(), std::memory_order_release);
}

void CacheListeners::remove(CacheListener& listener) {
  MutexLock lock(mutex_);
  // Looked up anew after each wait: others come and go.
  for (Entry* entry; (entry = find_locked(listener)) != nullptr;) {
    const uint32_t own = entry->id == t_called ? 1 : 0;
    if (entry->running > own) {
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
  std::vector<uint64_t> all;
  {
    MutexLock lock(mutex_);
    for (Entry& entry : entries_) all.push_back(entry.id);
  }
  for (const uint64_t id : all) {
    CacheListener* listener;
    {
      MutexLock lock(mutex_);
      Entry* entry = find_locked(id);
      if (entry == nullptr) continue;  // removed meanwhile
      ++entry->running;
      listener = entry->listener;
    }
    const uint64_t outer = std::exchange(t_called, id);
    fn(*listener);
    t_called = outer;
    MutexLock lock(mutex_);
    // It may have removed itself, and be gone.
    if (Entry* entry = find_locked(id); entry != nullptr) --entry->running;
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
