#include "sdk/fs/dcache.h"

#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "sdk/base/rcu.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

namespace {

constexpr size_t kFirstBuckets = 1024;
constexpr size_t kShrinkBatch = 64;
constexpr uint64_t kCompleteSet = 1;
constexpr int kCompleteSeqShift = 33;

// Spreads a name's hash over the directories. By number and not by address: a simulation must
// repeat, and the order of the shards is the order of eviction.
size_t mix(const Inode& dir, uint32_t hash) {
  uint64_t h = dir.i_ino * 0x9e3779b97f4a7c15u;
  h = (h ^ hash) * 0xd6e8feb86659fd93u;
  return h ^ (h >> 32);
}

// Invariant (3) of the Dcache: whoever takes a name away says so first.
void clear_complete(Inode& dir) {
  uint64_t old = dir.i_complete.load(std::memory_order_relaxed), next;
  do {
    next = ((old >> kCompleteSeqShift) + 1) << kCompleteSeqShift;
  } while (!dir.i_complete.compare_exchange_weak(old, next, std::memory_order_acq_rel));
}

}  // namespace

struct Dcache::Table {
  explicit Table(size_t buckets) : mask(buckets - 1), heads(buckets) {}
  const size_t mask;
  std::vector<std::atomic<DentryPosition*>> heads;
};

// Two shards in the order of their addresses; they may be the same.
struct Dcache::PairLock {
  PairLock(Shard& a, Shard& b) ABSL_NO_THREAD_SAFETY_ANALYSIS : first(&a < &b ? a : b),
                                                                second(&a < &b ? b : a) {
    first.mutex.lock();
    if (&first != &second) second.mutex.lock_nested();
  }
  ~PairLock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (&first != &second) second.mutex.unlock();
    first.mutex.unlock();
  }
  Shard& first;
  Shard& second;
};

// What a locked section takes out of the hash, dropped when the locks are gone.
struct Dcache::Removed {
  ~Removed() {
    for (Dentry* dentry : dentries) dentry->unref();
    for (Dentry* dentry : killed) dentry->last_ref_dropped();
    for (DentryPosition* pos : positions) call_rcu(pos, [](void* p) { ::operator delete(p); });
  }
  std::vector<Dentry*> dentries;
  std::vector<Dentry*> killed;
  std::vector<DentryPosition*> positions;
};

Dcache::Dcache(SuperBlock& sb, size_t max_dentries)
    : sb_(sb), max_dentries_(max_dentries), table_(new Table(kFirstBuckets)) {}

Dcache::~Dcache() { delete table_.load(std::memory_order_relaxed); }

Dcache::Shard& Dcache::shard_of(const Inode& dir, uint32_t hash) {
  // The low bits of the bucket's number, so that a bucket belongs to one shard at any table size.
  return shards_[mix(dir, hash) % kShards];
}

std::atomic<DentryPosition*>& Dcache::head_of(const Inode& dir, uint32_t hash) const {
  Table& table = *table_.load(std::memory_order_acquire);
  return table.heads[mix(dir, hash) & table.mask];
}

const DentryPosition* Dcache::d_lookup_rcu(const Inode& dir, std::string_view name,
                                           uint32_t hash) const {
  const DentryPosition* pos = head_of(dir, hash).load(std::memory_order_acquire);
  for (; pos != nullptr; pos = pos->next.load(std::memory_order_acquire)) {
    if (pos->hash == hash && pos->dir == &dir && pos->name_len == name.size() &&
        padded_name_equals(pos->name, name)) {
      return pos;
    }
  }
  return nullptr;
}

Dentry* Dcache::find_locked(const Inode& dir, std::string_view name, uint32_t hash) const {
  const DentryPosition* pos = d_lookup_rcu(dir, name, hash);
  return pos != nullptr ? pos->dentry : nullptr;
}

RefPtr<Dentry> Dcache::d_lookup(const Inode& dir, std::string_view name) const {
  RcuReadGuard guard;
  const DentryPosition* pos = d_lookup_rcu(dir, name, d_hash_name(name));
  Dentry* found = pos != nullptr ? pos->dentry : nullptr;
  // In use or not, what left the hash meanwhile is no answer.
  return found != nullptr && found->is_hashed() ? RefPtr<Dentry>::try_from(found) : nullptr;
}

DentryPosition* Dcache::init_position(void* memory, Dentry& dentry, Dentry& parent,
                                      std::string_view name, uint32_t hash) {
  char* text = static_cast<char*>(memory) + sizeof(DentryPosition);
  std::memset(text, 0, padded_name_size(name.size()));
  if (!name.empty()) std::memcpy(text, name.data(), name.size());
  auto* pos = new (memory) DentryPosition{.dir = &parent == &dentry ? nullptr : parent.d_inode(),
                                          .d_parent = &parent,
                                          .hash = hash,
                                          .name_len = static_cast<uint32_t>(name.size()),
                                          .name = text,
                                          .dentry = &dentry};
  if (&parent != &dentry) parent.ref();
  return pos;
}

Ref<Dentry> Dcache::alloc(Dentry* parent, std::string_view name, uint32_t hash,
                          RefPtr<Inode> inode) {
  void* memory =
      ::operator new(sizeof(Dentry) + sizeof(DentryPosition) + padded_name_size(name.size()));
  auto* dentry = new (memory) Dentry(sb_, inode.leak());
  Dentry& hangs_on = parent != nullptr ? *parent : *dentry;
  dentry->d_pos_.store(init_position(dentry->own_position(), *dentry, hangs_on, name, hash),
                       std::memory_order_release);
  if (parent == nullptr) dentry->set_flags(Dentry::kRoot);
  return Ref<Dentry>(dentry, Ref<Dentry>::Adopt{});
}

Ref<Dentry> Dcache::d_alloc_anon(Ref<Inode> inode) {
  return alloc(nullptr, {}, 0, RefPtr<Inode>(std::move(inode)));
}

bool Dcache::trusted(const Inode& dir, DirVersion version, bool own_change) const {
  return LeaseWord::covers(version.sample, kLeaseD, sb_.s_validity) &&
         dir.i_lease.still(version.sample, kLeaseD) &&
         version.change >= dir.i_change.load(std::memory_order_acquire) &&
         (own_change || dir.i_changing.load(std::memory_order_acquire) == 0);
}

void Dcache::lru_unlink_locked(Shard& shard, Dentry& dentry) {
  Dentry* next = dentry.d_lru_next_;
  Dentry* prev = dentry.d_lru_prev_;
  (prev != nullptr ? prev->d_lru_next_ : shard.lru_first) = next;
  (next != nullptr ? next->d_lru_prev_ : shard.lru_last) = prev;
  dentry.d_lru_next_ = dentry.d_lru_prev_ = nullptr;
}

void Dcache::lru_append_locked(Shard& shard, Dentry& dentry) {
  dentry.d_lru_prev_ = shard.lru_last;
  dentry.d_lru_next_ = nullptr;
  (shard.lru_last != nullptr ? shard.lru_last->d_lru_next_ : shard.lru_first) = &dentry;
  shard.lru_last = &dentry;
}

void Dcache::link_locked(DentryPosition& position) {
  std::atomic<DentryPosition*>& head = head_of(*position.dir, position.hash);
  position.next.store(head.load(std::memory_order_relaxed), std::memory_order_relaxed);
  head.store(&position, std::memory_order_release);
}

void Dcache::unlink_locked(DentryPosition& position) {
  std::atomic<DentryPosition*>* link = &head_of(*position.dir, position.hash);
  while (link->load(std::memory_order_relaxed) != &position) {
    link = &link->load(std::memory_order_relaxed)->next;
  }
  // Its own link stays: readers that stand on it go on from there.
  link->store(position.next.load(std::memory_order_relaxed), std::memory_order_release);
}

void Dcache::hash_locked(Shard& shard, Dentry& dentry) {
  dentry.ref();
  dentry.set_flags(Dentry::kHashed | Dentry::kReferenced);
  link_locked(*dentry.d_pos_.load(std::memory_order_relaxed));
  lru_append_locked(shard, dentry);
  ++shard.hashed;
  count_.fetch_add(1, std::memory_order_relaxed);
}

Dentry* Dcache::unhash_locked(Shard& shard, Dentry& dentry) {
  dentry.clear_flags(Dentry::kHashed);
  unlink_locked(*dentry.d_pos_.load(std::memory_order_relaxed));
  lru_unlink_locked(shard, dentry);
  --shard.hashed;
  count_.fetch_sub(1, std::memory_order_relaxed);
  return &dentry;
}

Dentry* Dcache::remove_locked(Shard& shard, Dentry& dentry) {
  if (!dentry.is_negative()) {
    dentry.set_flags(Dentry::kCantMount);
    if ((dentry.flags() & Dentry::kMounted) != 0) {
      lost_mountpoints_.fetch_add(1, std::memory_order_acq_rel);
    }
  }
  return unhash_locked(shard, dentry);
}

void Dcache::make_stale(Dentry& dentry, const Inode& dir) {
  dentry.d_time_.store(dir.i_lease.version() - 1, std::memory_order_release);
}

void Dcache::charge(int64_t dentries) {
  mm::Budget* budget = sb_.s_budget();
  if (budget == nullptr || dentries == 0) return;
  if (dentries > 0) {
    budget->charge_always(mm::MemClass::kDentries, dentries * kBytesPerDentry);
  } else {
    budget->uncharge(mm::MemClass::kDentries, -dentries * kBytesPerDentry);
  }
}

Ref<Dentry> Dcache::put_locked(Shard& shard, Dentry& parent, std::string_view name, uint32_t hash,
                               RefPtr<Inode> inode, DirVersion version, bool own_change,
                               Removed& removed) {
  Inode& dir = *parent.d_inode();
  const bool good = trusted(dir, version, own_change);
  Dentry* old = find_locked(dir, name, hash);
  const bool same = old != nullptr && old->d_inode() == inode.get();
  // What is mounted there hangs on this dentry.
  const bool keeps = same && (old->flags() & Dentry::kMounted) != 0;
  if (same && (good || !own_change || keeps)) {
    if (good) {
      old->d_time_.store(LeaseWord::version(version.sample), std::memory_order_release);
      old->touch();
    } else if (own_change) {
      clear_complete(dir);
      make_stale(*old, dir);
    }
    return Ref<Dentry>(*old);
  }
  if (old != nullptr && (good || own_change)) {
    if (!good) clear_complete(dir);
    removed.dentries.push_back(own_change && !same ? remove_locked(shard, *old)
                                                   : unhash_locked(shard, *old));
  } else if (!good && own_change) {
    clear_complete(dir);
  }
  Ref<Dentry> fresh = alloc(&parent, name, hash, std::move(inode));
  if (good) {
    fresh->d_time_.store(LeaseWord::version(version.sample), std::memory_order_release);
    hash_locked(shard, *fresh);
  }
  return fresh;
}

Ref<Dentry> Dcache::put(Dentry& parent, std::string_view name, RefPtr<Inode> inode,
                        DirVersion version, bool own_change) {
  const uint32_t hash = d_hash_name(name);
  Shard& shard = shard_of(*parent.d_inode(), hash);
  RefPtr<Dentry> result;
  {
    Removed removed;
    MutexLock lock(shard.mutex);
    size_t before = shard.hashed;
    result = put_locked(shard, parent, name, hash, std::move(inode), version, own_change, removed);
    // Inside the lock: these are counters, and so no other thread's uncharge comes first.
    charge(static_cast<int64_t>(shard.hashed) - static_cast<int64_t>(before));
  }
  maybe_grow();
  maybe_shrink();
  return std::move(result).to_ref();
}

Ref<Dentry> Dcache::d_learn(Dentry& parent, std::string_view name, RefPtr<Inode> inode,
                            DirVersion version) {
  return put(parent, name, std::move(inode), version, false);
}

Ref<Dentry> Dcache::d_add(Dentry& parent, std::string_view name, RefPtr<Inode> inode,
                          DirVersion version) {
  return put(parent, name, std::move(inode), version, true);
}

void Dcache::reposition_locked(Shard& from, Shard& to, Dentry& dentry, Dentry& parent,
                               std::string_view name, uint32_t hash, Removed& removed) {
  DentryPosition* old = dentry.d_pos_.load(std::memory_order_relaxed);
  void* memory = ::operator new(sizeof(DentryPosition) + padded_name_size(name.size()));
  DentryPosition* pos = init_position(memory, dentry, parent, name, hash);
  unlink_locked(*old);
  lru_unlink_locked(from, dentry);
  --from.hashed;
  dentry.d_pos_.store(pos, std::memory_order_release);
  link_locked(*pos);
  lru_append_locked(to, dentry);
  ++to.hashed;
  removed.dentries.push_back(old->d_parent);
  if (old != dentry.own_position()) removed.positions.push_back(old);
}

// Of the shards that are locked: others charge for theirs at the same time.
int64_t Dcache::hashed_in_locked(const Shard& one, const Shard& other) {
  return static_cast<int64_t>(one.hashed + (&one == &other ? 0 : other.hashed));
}

void Dcache::d_move(Dentry& old_parent, std::string_view old_name, DirVersion old_version,
                    Dentry& new_parent, std::string_view new_name, DirVersion new_version,
                    const Inode* inode) {
  Inode& old_dir = *old_parent.d_inode();
  Inode& new_dir = *new_parent.d_inode();
  if (&old_dir == &new_dir && old_name == new_name) return;
  const uint32_t old_hash = d_hash_name(old_name), new_hash = d_hash_name(new_name);
  Shard& from = shard_of(old_dir, old_hash);
  Shard& to = shard_of(new_dir, new_hash);
  {
    Removed removed;
    PairLock lock(from, to);
    const int64_t before = hashed_in_locked(from, to);
    Dentry* moved = find_locked(old_dir, old_name, old_hash);
    Dentry* target = find_locked(new_dir, new_name, new_hash);
    const bool is_it = moved != nullptr && inode != nullptr && moved->d_inode() == inode;
    const bool good = is_it && trusted(new_dir, new_version, true);
    if (!good) clear_complete(new_dir);
    if (target != nullptr && target != moved) {
      removed.dentries.push_back(remove_locked(to, *target));
    }
    if (good) {
      reposition_locked(from, to, *moved, new_parent, new_name, new_hash, removed);
      moved->d_time_.store(LeaseWord::version(new_version.sample), std::memory_order_release);
    } else if (moved != nullptr) {
      removed.dentries.push_back(unhash_locked(from, *moved));
    }
    if (moved != nullptr) {
      removed.dentries.push_back(
          put_locked(from, old_parent, old_name, old_hash, nullptr, old_version, true, removed)
              .leak());
    }
    charge(hashed_in_locked(from, to) - before);
  }
  maybe_grow();
}

void Dcache::d_exchange(Dentry& a_parent, std::string_view a_name, DirVersion a_version,
                        Dentry& b_parent, std::string_view b_name, DirVersion b_version,
                        const Inode* a_inode, const Inode* b_inode) {
  Inode& a_dir = *a_parent.d_inode();
  Inode& b_dir = *b_parent.d_inode();
  const uint32_t a_hash = d_hash_name(a_name), b_hash = d_hash_name(b_name);
  Shard& a_shard = shard_of(a_dir, a_hash);
  Shard& b_shard = shard_of(b_dir, b_hash);
  Removed removed;
  PairLock lock(a_shard, b_shard);
  Dentry* a = find_locked(a_dir, a_name, a_hash);
  Dentry* b = find_locked(b_dir, b_name, b_hash);
  if (a == b) return;
  auto is_it = [](const Dentry* dentry, const Inode* inode) {
    return dentry != nullptr && inode != nullptr && dentry->d_inode() == inode;
  };
  const bool good = is_it(a, a_inode) && is_it(b, b_inode) && trusted(a_dir, a_version, true) &&
                    trusted(b_dir, b_version, true);
  if (good) {
    reposition_locked(a_shard, b_shard, *a, b_parent, b_name, b_hash, removed);
    reposition_locked(b_shard, a_shard, *b, a_parent, a_name, a_hash, removed);
    a->d_time_.store(LeaseWord::version(b_version.sample), std::memory_order_release);
    b->d_time_.store(LeaseWord::version(a_version.sample), std::memory_order_release);
    return;
  }
  clear_complete(a_dir);
  clear_complete(b_dir);
  const int64_t before = hashed_in_locked(a_shard, b_shard);
  if (a != nullptr) removed.dentries.push_back(unhash_locked(a_shard, *a));
  if (b != nullptr) removed.dentries.push_back(unhash_locked(b_shard, *b));
  charge(hashed_in_locked(a_shard, b_shard) - before);
}

void Dcache::d_drop(Inode& dir, std::string_view name) {
  const uint32_t hash = d_hash_name(name);
  Shard& shard = shard_of(dir, hash);
  clear_complete(dir);
  Removed removed;
  MutexLock lock(shard.mutex);
  Dentry* found = find_locked(dir, name, hash);
  if (found == nullptr) return;
  if ((found->flags() & Dentry::kMounted) != 0) return make_stale(*found, dir);
  removed.dentries.push_back(unhash_locked(shard, *found));
  charge(-1);
}

RefPtr<Dentry> Dcache::d_set_mounted(Dentry& dentry) {
  RefPtr<Dentry> result;
  while (!result) {
    if (dentry.is_root()) {
      dentry.set_flags(Dentry::kMounted);
      return Ref<Dentry>(dentry);
    }
    const Ref<Dentry> parent = dentry.d_parent();
    const std::string name = dentry.d_name();
    Inode& dir = *parent->d_inode();
    const uint32_t hash = d_hash_name(name);
    Shard& shard = shard_of(dir, hash);
    MutexLock lock(shard.mutex);
    {
      RcuReadGuard guard;
      const DentryPosition& pos = dentry.position();
      if (pos.dir != &dir || pos.d_name() != name) continue;  // it was moved in between
    }
    Dentry* known = find_locked(dir, name, hash);
    if (known != nullptr && known->d_inode() != dentry.d_inode()) return nullptr;
    if (known != nullptr) {
      result = Ref<Dentry>(*known);
    } else {
      Inode& inode = *dentry.d_inode();
      const bool dead = (inode.i_flags.load(std::memory_order_seq_cst) & Inode::kDead) != 0;
      if (dead || (dentry.flags() & Dentry::kCantMount) != 0 || inode.i_attr().nlink == 0) {
        return nullptr;
      }
      // A position is hashed once: this is another dentry.
      result = alloc(parent.get(), name, hash, RefPtr<Inode>(Ref<Inode>(inode)));
      make_stale(*result, dir);
      hash_locked(shard, *result);
      charge(1);
    }
    result->set_flags(Dentry::kMounted);
  }
  maybe_grow();
  return result;
}

RefPtr<Dentry> Dcache::d_mark_busy(const Inode& dir, std::string_view name) {
  const uint32_t hash = d_hash_name(name);
  MutexLock lock(shard_of(dir, hash).mutex);
  Dentry* found = find_locked(dir, name, hash);
  if (found == nullptr) return nullptr;
  found->set_flags(Dentry::kBusy);
  return RefPtr<Dentry>(Ref<Dentry>(*found));
}

uint64_t Dcache::complete_seq(const Inode& dir) {
  return dir.i_complete.load(std::memory_order_acquire) >> kCompleteSeqShift;
}

bool Dcache::set_complete(Inode& dir, uint64_t seq, DirVersion version) {
  if (!dir.i_sb().s_dcache.trusted(dir, version, false)) return false;
  uint64_t old = dir.i_complete.load(std::memory_order_acquire), next;
  do {
    if (old >> kCompleteSeqShift != seq) return false;
    next =
        seq << kCompleteSeqShift | uint64_t{LeaseWord::version(version.sample)} << 1 | kCompleteSet;
  } while (!dir.i_complete.compare_exchange_weak(old, next, std::memory_order_acq_rel));
  return true;
}

uint64_t Dcache::complete_value(const Inode& dir, LeaseWord::Sample dir_sample) {
  uint64_t value = dir.i_complete.load(std::memory_order_acquire);
  bool same_version = static_cast<uint32_t>(value >> 1) == LeaseWord::version(dir_sample);
  return (value & kCompleteSet) != 0 && same_version ? value : 0;
}

size_t Dcache::shrink_shard(Shard& shard, size_t count, bool force) {
  Removed removed;
  MutexLock lock(shard.mutex);
  size_t before = shard.hashed;
  size_t freed = 0;
  // Twice round: the first pass may find only what was used of late.
  for (size_t left = 2 * shard.hashed; left > 0 && freed < count && shard.hashed > 0; --left) {
    Dentry& oldest = *shard.lru_first;
    if (force) {
      removed.dentries.push_back(unhash_locked(shard, oldest));
      ++freed;
      continue;
    }
    lru_unlink_locked(shard, oldest);
    lru_append_locked(shard, oldest);
    if (oldest.ref_count() > 1) continue;
    if ((oldest.flags() & Dentry::kReferenced) != 0) {
      oldest.clear_flags(Dentry::kReferenced);
      continue;
    }
    if (!oldest.is_negative()) clear_complete(*oldest.d_pos_.load(std::memory_order_relaxed)->dir);
    if (!oldest.try_kill()) continue;
    removed.killed.push_back(unhash_locked(shard, oldest));
    ++freed;
  }
  charge(static_cast<int64_t>(shard.hashed) - static_cast<int64_t>(before));
  return freed;
}

size_t Dcache::shrink(size_t count) {
  size_t freed = 0;
  unsigned first = next_victim_.fetch_add(1, std::memory_order_relaxed);
  for (unsigned i = 0; i < kShards && freed < count; ++i) {
    freed += shrink_shard(shards_[(first + i) % kShards], count - freed, false);
  }
  return freed;
}

void Dcache::shrink_all() {
  for (Shard& shard : shards_) shrink_shard(shard, SIZE_MAX, true);
}

void Dcache::maybe_shrink() {
  size_t now = size();
  if (now > max_dentries_) {
    shrink(now - max_dentries_ + kShrinkBatch < now ? now - max_dentries_ + kShrinkBatch : now);
    return;
  }
  mm::Budget* budget = sb_.s_budget();
  if (budget != nullptr && budget->used() > budget->limit()) shrink(kShrinkBatch);
}

void Dcache::maybe_grow() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Table* old = table_.load(std::memory_order_acquire);
  if (size() <= 2 * (old->mask + 1)) return;
  for (Shard& shard : shards_) shard.mutex.lock_nested();
  Table* retired = nullptr;
  old = table_.load(std::memory_order_acquire);
  if (size() > 2 * (old->mask + 1)) {
    auto* bigger = new Table(4 * (old->mask + 1));
    // Readers on a chain are led into another one; they learn from the sequence that a miss means
    // nothing.
    table_seq_.fetch_add(1, std::memory_order_acq_rel);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    for (std::atomic<DentryPosition*>& head : old->heads) {
      DentryPosition* pos = head.load(std::memory_order_relaxed);
      while (pos != nullptr) {
        DentryPosition* next = pos->next.load(std::memory_order_relaxed);
        std::atomic<DentryPosition*>& to = bigger->heads[mix(*pos->dir, pos->hash) & bigger->mask];
        pos->next.store(to.load(std::memory_order_relaxed), std::memory_order_release);
        to.store(pos, std::memory_order_release);
        pos = next;
      }
    }
    table_.store(bigger, std::memory_order_release);
    table_seq_.fetch_add(1, std::memory_order_release);
    retired = old;
  }
  for (size_t i = kShards; i > 0; --i) shards_[i - 1].mutex.unlock();
  if (retired != nullptr) rcu_delete(retired);
}

}  // namespace myfs::fs
