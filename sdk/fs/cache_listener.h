// CacheListener: somebody outside of the VFS who keeps what it has answered, as a kernel above a
// bridge does. CacheListeners: those of a super block.
// Kernel counterpart: struct mmu_notifier (include/linux/mmu_notifier.h).
// Thread safety: all. Callbacks run on workers of the file system, several at once, never under a
// lock of the VFS or of the file system; they may wait.
// Lock rank: kCall, a leaf, let go of while a callback runs.
// Owns / is owned by: the listeners are their registrars'; CacheListeners is part of a SuperBlock.
// Invariants: (1) what an answer was covered by is given back to others only after invalidate() has
// returned; (2) after remove() has returned no callback of that listener runs or begins,
// but for the one that remove() was called from.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "sdk/base/sync.h"
#include "sdk/fs/lease_word.h"

namespace myfs::fs {

class Inode;

class CacheListener {
 public:
  virtual ~CacheListener() = default;
  // These parts of the inode's lease end: what was answered under them must not be used any more
  // when this returns.
  virtual void invalidate(Inode& inode, LeaseParts parts) = 0;
  // All leases have ended, and others may hold them already.
  virtual void invalidate_all() = 0;
};

class CacheListeners {
 public:
  bool any() const { return count_.load(std::memory_order_acquire) != 0; }
  void add(CacheListener& listener);
  // Waits for its callbacks, but for the one that it is called from.
  void remove(CacheListener& listener);
  void invalidate(Inode& inode, LeaseParts parts);
  void invalidate_all();

 private:
  struct Entry {
    uint64_t id;  // of this registration, in the process: a later one may have the same address
    CacheListener* listener;
    uint32_t running;
  };
  Entry* find_locked(const CacheListener& listener) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Entry* find_locked(uint64_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Runs fn for every listener, none of them removed meanwhile.
  void for_each(absl::FunctionRef<void(CacheListener&)> fn);

  std::atomic<size_t> count_{0};
  Mutex mutex_{LockRank::kCall};
  CondVar idle_;
  std::vector<Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace myfs::fs
