#include "sdk/fs/inode_cache.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "sdk/base/rcu.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

namespace {
// Evicted at most per look-up of a new inode, so that one caller does not pay for everybody.
constexpr size_t kEvictBatch = 32;
}  // namespace

InodeCache::InodeCache(SuperBlock& sb, size_t max_unused) : sb_(sb), max_unused_(max_unused) {}

InodeCache::~InodeCache() = default;

size_t InodeCache::size() const {
  MutexLock lock(mutex_);
  return inodes_.size();
}

void InodeCache::lru_add_locked(Inode& inode) {
  inode.i_lru_prev_ = lru_last_;
  inode.i_lru_next_ = nullptr;
  (lru_last_ != nullptr ? lru_last_->i_lru_next_ : lru_first_) = &inode;
  lru_last_ = &inode;
  ++unused_;
}

void InodeCache::lru_remove_locked(Inode& inode) {
  (inode.i_lru_prev_ != nullptr ? inode.i_lru_prev_->i_lru_next_ : lru_first_) = inode.i_lru_next_;
  (inode.i_lru_next_ != nullptr ? inode.i_lru_next_->i_lru_prev_ : lru_last_) = inode.i_lru_prev_;
  inode.i_lru_next_ = inode.i_lru_prev_ = nullptr;
  --unused_;
}

void InodeCache::unhash_locked(Inode& inode) {
  if (!inode.i_hashed_) return;
  inode.i_hashed_ = false;
  inodes_.erase(Key(inode.i_ino, inode.i_generation));
  auto found = by_ino_.find(inode.i_ino);
  if (found != by_ino_.end() && found->second == &inode) by_ino_.erase(found);
}

RefPtr<Inode> InodeCache::revive_locked(Inode& inode) {
  if (inode.try_ref()) return RefPtr<Inode>::adopt(&inode);
  // Only put_last lets a count reach 0, under this lock, and puts the inode into the LRU.
  lru_remove_locked(inode);
  inode.count_.store(1, std::memory_order_release);
  return RefPtr<Inode>::adopt(&inode);
}

Ref<Inode> InodeCache::iget(const Kstat& stat, absl::FunctionRef<Inode*()> alloc) {
  const Key key(stat.ino, stat.generation);
  {
    MutexLock lock(mutex_);
    if (auto found = inodes_.find(key); found != inodes_.end()) {
      return revive_locked(*found->second).to_ref();
    }
  }
  Inode* fresh = alloc();
  bool surplus;
  RefPtr<Inode> other;
  {
    MutexLock lock(mutex_);
    auto [entry, inserted] = inodes_.try_emplace(key, fresh);
    if (inserted) {
      fresh->i_hashed_ = true;
      by_ino_[stat.ino] = fresh;
    } else {
      other = revive_locked(*entry->second);
    }
    surplus = unused_ > max_unused_;
  }
  if (other) {
    // Another thread was faster. Ours was never visible, so there is nothing to evict.
    rcu_delete(fresh);
    return std::move(other).to_ref();
  }
  if (mm::Budget* budget = sb_.s_budget(); budget != nullptr) {
    budget->charge_always(mm::MemClass::kInodes, kBytesPerInode);
  }
  if (surplus) shrink(kEvictBatch);
  return Ref<Inode>(fresh, Ref<Inode>::Adopt{});
}

RefPtr<Inode> InodeCache::ilookup(uint64_t ino, uint32_t generation) {
  MutexLock lock(mutex_);
  auto found = inodes_.find(Key(ino, generation));
  return found == inodes_.end() ? nullptr : revive_locked(*found->second);
}

RefPtr<Inode> InodeCache::ilookup(uint64_t ino) {
  MutexLock lock(mutex_);
  auto found = by_ino_.find(ino);
  return found == by_ino_.end() ? nullptr : revive_locked(*found->second);
}

void InodeCache::uncharge() {
  if (mm::Budget* budget = sb_.s_budget(); budget != nullptr) {
    budget->uncharge(mm::MemClass::kInodes, kBytesPerInode);
  }
}

void InodeCache::put_last(Inode& inode) {
  bool was_hashed = false;
  {
    MutexLock lock(mutex_);
    if (inode.count_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    was_hashed = inode.i_hashed_;
    if (was_hashed && inode.i_attr().nlink != 0 && sb_.is_active()) {
      lru_add_locked(inode);
      return;
    }
    unhash_locked(inode);
  }
  if (was_hashed) uncharge();
  evict(&inode);
}

void InodeCache::evict(Inode* inode) {
  sb_.s_op().evict_inode(*inode);
  rcu_delete(inode);
}

size_t InodeCache::shrink(size_t count) {
  std::vector<Inode*> victims;
  {
    MutexLock lock(mutex_);
    while (victims.size() < count && lru_first_ != nullptr) {
      Inode* inode = lru_first_;
      lru_remove_locked(*inode);
      unhash_locked(*inode);
      victims.push_back(inode);
    }
  }
  for (Inode* inode : victims) {
    uncharge();
    evict(inode);
  }
  return victims.size();
}

void InodeCache::for_each(absl::FunctionRef<void(Inode&)> fn) {
  std::vector<Ref<Inode>> all;
  {
    MutexLock lock(mutex_);
    all.reserve(inodes_.size());
    for (auto& [key, inode] : inodes_) all.push_back(revive_locked(*inode).to_ref());
  }
  // Not in the order of the hash table, which differs from process to process.
  std::sort(all.begin(), all.end(), [](const Ref<Inode>& a, const Ref<Inode>& b) {
    return std::pair(a->i_ino, a->i_generation) < std::pair(b->i_ino, b->i_generation);
  });
  for (Ref<Inode>& inode : all) fn(*inode);
}

size_t InodeCache::evict_all() {
  while (shrink(SIZE_MAX) != 0) {
  }
  return size();
}

}  // namespace myfs::fs
