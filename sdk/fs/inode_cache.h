// InodeCache: the inodes of one super block by number and generation; those without users wait in
// an LRU.
// Kernel counterpart: inode_hashtable, s_inode_lru (fs/inode.c: iget5_locked, iput, evict).
// Differs: per super block; a new inode is complete before it is entered, so there is no I_NEW.
// Thread safety: all.
// Lock rank: kInodeHash, a leaf; never held while an inode is evicted.
// Owns / is owned by: member of SuperBlock. Holds no references: an inode leaves the table before
// it is freed.
// Invariants: (1) at most one inode per (number, generation); (2) an inode is in the LRU iff its
// count is 0; only iget under the lock brings it back; (3) eviction calls SuperOps::evict_inode
// exactly once per inode, then frees it by rcu.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "sdk/base/ref.h"
#include "sdk/base/sync.h"
#include "sdk/fs/inode.h"

namespace myfs::fs {

class InodeCache {
 public:
  InodeCache(SuperBlock& sb, size_t max_unused);
  ~InodeCache();

  // The inode of stat.ino and stat.generation; made by `alloc` (new T(...), count 1) if there is
  // none. An inode that is found does not take over `stat`: learn_attr is the caller's. Evicts
  // surplus unused inodes: no leaf lock may be held.
  Ref<Inode> iget(const Kstat& stat, absl::FunctionRef<Inode*()> alloc);
  // Null if it is not here. For recalls: takes the lock, nothing else.
  RefPtr<Inode> ilookup(uint64_t ino, uint32_t generation);
  RefPtr<Inode> ilookup(uint64_t ino);  // whatever generation; the newest entered

  // Evicts up to `count` unused inodes, oldest first. Returns the number.
  size_t shrink(size_t count);
  // Calls fn for every inode, each referenced meanwhile, outside the lock.
  void for_each(absl::FunctionRef<void(Inode&)> fn);
  // Evicts all unused; returns how many are still in use.
  size_t evict_all();
  size_t size() const;
  static constexpr size_t kBytesPerInode = 1024;  // for the memory budget

 private:
  friend class Inode;
  using Key = std::pair<uint64_t, uint32_t>;
  // Drops what may be the last reference.
  void put_last(Inode& inode);
  void lru_remove_locked(Inode& inode) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void unhash_locked(Inode& inode) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void uncharge();
  void lru_add_locked(Inode& inode) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  RefPtr<Inode> revive_locked(Inode& inode) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void evict(Inode* inode);

  SuperBlock& sb_;
  const size_t max_unused_;
  mutable Mutex mutex_{LockRank::kInodeHash};
  absl::flat_hash_map<Key, Inode*> inodes_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<uint64_t, Inode*> by_ino_ ABSL_GUARDED_BY(mutex_);
  Inode* lru_first_ ABSL_GUARDED_BY(mutex_) = nullptr;
  Inode* lru_last_ ABSL_GUARDED_BY(mutex_) = nullptr;
  size_t unused_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace myfs::fs
