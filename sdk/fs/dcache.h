// Dcache: the names of one super block that this client knows: (directory, name) -> dentry,
// positive and negative.
// Kernel counterpart: fs/dcache.c (d_lookup, d_add, d_splice_alias, d_move, d_drop,
// shrink_dcache_sb).  Differs: one table per super block; d_learn and d_add refuse what a lost
// lease or a newer change has made doubtful.
// Thread safety: all. Look-ups take no lock and write nothing that is shared.
// Lock rank: the shards' locks are kDcache; two shards nest in index order (d_move).
// Owns / is owned by: member of SuperBlock; holds one reference to each hashed dentry.
// Invariants: (1) at most one hashed dentry per (directory inode, name); (2) nothing is hashed for
// a directory while a change by this client is under way there (i_changing), except by that change
// itself; (3) removing a name that may exist from the hash first clears COMPLETE of its directory;
// (4) no more than max_dentries are kept, those in use excepted.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "sdk/base/metrics.h"
#include "sdk/base/sync.h"
#include "sdk/fs/dentry.h"
#include "sdk/fs/name_hash.h"

namespace myfs::fs {

// What an answer about a directory's content was based on. The file system first learns the
// directory's attributes and grants of the answer, then samples the lease:
// DirVersion{dir.i_lease.sample(), attr_of_dir_in_the_answer.change}.
struct DirVersion {
  LeaseWord::Sample sample = 0;
  uint64_t change = 0;
};

class Dcache {
 public:
  Dcache(SuperBlock& sb, size_t max_dentries);
  ~Dcache();  // requires shrink_all() to have left nothing
  Dcache(const Dcache&) = delete;
  Dcache& operator=(const Dcache&) = delete;

  // --- look-up ---
  // Inside an rcu read section. The position of the hashed dentry, true or not; null: none was
  // found (missed_surely() tells).
  const DentryPosition* d_lookup_rcu(const Inode& dir, std::string_view name, uint32_t hash) const;
  // Whether a null of d_lookup_rcu means "not hashed" and not "the table was growing". seq:
  // table_seq() before the probe.
  uint32_t table_seq() const { return table_seq_.load(std::memory_order_acquire); }
  bool missed_surely(uint32_t seq) const {
    std::atomic_thread_fence(std::memory_order_acquire);
    return (seq & 1) == 0 && table_seq_.load(std::memory_order_relaxed) == seq;
  }
  // With a reference; true or not.
  RefPtr<Dentry> d_lookup(const Inode& dir, std::string_view name) const;

  // --- what the file system tells ---
  // An answer of
  // look-up or readdir: `name` in `parent` is `inode` (null: absent). Returns the dentry for it:
  // hashed and true if `version` still holds, the directory has no change of ours under way and
  // knows no newer change; else the one that is hashed already if it has the same inode; else an
  // unhashed one, good for the operation that asked. Never null.
  Ref<Dentry> d_learn(Dentry& parent, std::string_view name, RefPtr<Inode> inode,
                      DirVersion version);
  // The result of a change of our own (inside InodeOps::create, link, unlink, ...): as d_learn, but
  // the change under way does not count, and what was hashed under the name goes. `inode` null: the
  // name was removed.
  Ref<Dentry> d_add(Dentry& parent, std::string_view name, RefPtr<Inode> inode, DirVersion version);
  // Our own rename of `inode` (null: of one that is not cached): the dentry hashed at the old place
  // moves, what the new place had goes, the old place becomes negative. The versions are those of
  // the answer. If the dentry is not hashed any more, nothing moves; nor if it has another inode or
  // none, as it was before somebody else changed the name.
  void d_move(Dentry& old_parent, std::string_view old_name, DirVersion old_version,
              Dentry& new_parent, std::string_view new_name, DirVersion new_version,
              const Inode* inode);
  // RENAME_EXCHANGE of our own; the inodes that were at a and at b.
  void d_exchange(Dentry& a_parent, std::string_view a_name, DirVersion a_version, Dentry& b_parent,
                  std::string_view b_name, DirVersion b_version, const Inode* a_inode,
                  const Inode* b_inode);
  // Forgets the name, or if something is mounted there, only that it is true; clears COMPLETE of
  // the directory.
  void d_drop(Inode& dir, std::string_view name);
  // The hashed dentry of the name, now kBusy, or null. Raise the directory's i_changing before:
  // then nobody enters the name afterwards.
  RefPtr<Dentry> d_mark_busy(const Inode& dir, std::string_view name);
  // [d_set_mounted] Marks the place of `dentry` kMounted: the hashed dentry of its name, by which
  // every walk will find it; one is made if there is none. Null: the name was removed, or means
  // something else now. Whoever marks clears the mark again.
  RefPtr<Dentry> d_set_mounted(Dentry& dentry);
  // How often a change of our own took the name of a dentry with that mark, which is kCantMount
  // from then on: what is mounted there is to be detached. `lost_detached`: of the detacher.
  uint64_t lost_mountpoints() const { return lost_mountpoints_.load(std::memory_order_acquire); }
  std::atomic<uint64_t> lost_detached{0};
  // A dentry without a name or parent, for open by handle and for roots. Not hashed.
  Ref<Dentry> d_alloc_anon(Ref<Inode> inode);

  // --- COMPLETE ---
  // A directory is COMPLETE if every name that it has is hashed. Take the sequence before the first
  // page is asked for; set after the last entry was learned. Refused (false) if a name of it was
  // forgotten or the lease was lost in between.
  static uint64_t complete_seq(const Inode& dir);
  static bool set_complete(Inode& dir, uint64_t seq, DirVersion version);
  // The value to compare, or 0 if the directory is not COMPLETE under `dir_sample`.
  static uint64_t complete_value(const Inode& dir, LeaseWord::Sample dir_sample);

  // --- shrinking ---
  // Lets go of up to `count` dentries that nobody uses, oldest first; gives those used since the
  // last scan a second chance. Returns the number freed. No leaf lock may be held, nor may it be
  // inside an rcu read section.
  size_t shrink(size_t count);
  // Unhashes everything; for umount.
  void shrink_all();
  size_t size() const { return static_cast<size_t>(count_.load(std::memory_order_relaxed)); }
  static constexpr size_t kBytesPerDentry =
      256;  // with its share of the table, for the memory budget

 private:
  struct Table;
  struct PairLock;
  struct Removed;
  static constexpr unsigned kShards = 16;

  struct alignas(64) Shard {
    Mutex mutex{LockRank::kDcache};
    Dentry* lru_first = nullptr;  // oldest
    Dentry* lru_last = nullptr;
    size_t hashed = 0;
  };

  Shard& shard_of(const Inode& dir, uint32_t hash);
  std::atomic<DentryPosition*>& head_of(const Inode& dir, uint32_t hash) const;
  // `parent` null: a root. Takes over `inode`'s reference.
  Ref<Dentry> alloc(Dentry* parent, std::string_view name, uint32_t hash, RefPtr<Inode> inode);
  static DentryPosition* init_position(void* memory, Dentry& dentry, Dentry& parent,
                                       std::string_view name, uint32_t hash);
  // Whether what is told under `version` may be cached.
  bool trusted(const Inode& dir, DirVersion version, bool own_change) const;
  Ref<Dentry> put(Dentry& parent, std::string_view name, RefPtr<Inode> inode, DirVersion version,
                  bool own_change);
  void charge(int64_t dentries);
  void maybe_grow();
  void maybe_shrink();
  size_t shrink_shard(Shard& shard, size_t count, bool force);

  // _locked: the shards concerned are locked.
  Dentry* find_locked(const Inode& dir, std::string_view name, uint32_t hash) const;
  Ref<Dentry> put_locked(Shard& shard, Dentry& parent, std::string_view name, uint32_t hash,
                         RefPtr<Inode> inode, DirVersion version, bool own_change,
                         Removed& removed);
  // A change of our own removes the name.
  Dentry* remove_locked(Shard& shard, Dentry& dentry);
  // Stays hashed, and is not true.
  static void make_stale(Dentry& dentry, const Inode& dir);
  void link_locked(DentryPosition& position);
  void unlink_locked(DentryPosition& position);
  void hash_locked(Shard& shard, Dentry& dentry);
  // The hash's reference is the caller's now.
  Dentry* unhash_locked(Shard& shard, Dentry& dentry);
  void reposition_locked(Shard& from, Shard& to, Dentry& dentry, Dentry& parent,
                         std::string_view name, uint32_t hash, Removed& removed);
  static int64_t hashed_in_locked(const Shard& one, const Shard& other);
  static void lru_unlink_locked(Shard& shard, Dentry& dentry);
  static void lru_append_locked(Shard& shard, Dentry& dentry);

  SuperBlock& sb_;
  const size_t max_dentries_;
  std::atomic<Table*> table_;
  std::atomic<uint32_t> table_seq_{0};
  std::atomic<int64_t> count_{0};
  std::atomic<unsigned> next_victim_{0};
  std::atomic<uint64_t> lost_mountpoints_{0};
  Shard shards_[kShards];
};

}  // namespace myfs::fs
