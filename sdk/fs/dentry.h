// Dentry: one name in one directory, as far as this client knows; negative if the name is known to
// be absent.
// Kernel counterpart: struct dentry (include/linux/dcache.h).  Differs: what the name means never
// changes (d_inode is constant; another meaning is another dentry), where it hangs is one immutable
// DentryPosition that a rename replaces, so readers need no sequence counter; the key of the hash
// is the parent's *inode*, so that several dentries of one directory share their children; validity
// is not a callback but d_time against the parent's LeaseWord.
// Thread safety: all, see each field. Freed by rcu: what a read section found stays memory until it
// ends.
// Owns / is owned by: owns a reference to d_inode and to the parent of its position; the hash of
// the Dcache holds one reference to each hashed dentry; files, paths and mounts hold others.
// Invariants: (1) a hashed dentry has a count >= 1, the hash's; it is killed by moving the count
// from 1 to 0 only; (2) a position is inserted into the hash at most once; (3) a dentry is true iff
// it is hashed, not kBusy, and d_time equals the version of the parent's LeaseWord while that
// covers D.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "sdk/base/ref.h"
#include "sdk/fs/inode.h"

namespace myfs::fs {

class Dcache;
class Dentry;

// Where a dentry hangs: the key under which the hash finds it. Immutable but for the hash link.
struct DentryPosition {
  Inode* dir;        // d_parent's inode; null for a root and a disconnected dentry
  Dentry* d_parent;  // itself for a root; a counted reference otherwise
  uint32_t hash;
  uint32_t name_len;
  const char* name;                            // follows the struct in memory
  Dentry* dentry;                              // the owner
  std::atomic<DentryPosition*> next{nullptr};  // hash chain; written under the shard's lock

  std::string_view d_name() const { return {name, name_len}; }
};

class Dentry final : public RefCounted<Dentry> {
 public:
  enum Flags : uint32_t {
    kReferenced = 1,  // used since the last scan of the LRU
    kHashed = 2,      // in the hash; changed under the shard's lock
    kMounted = 4,     // something is mounted here in some name space, or about to be
    kBusy = 8,   // a change of this name by this client is under way: ask nobody but the server
    kRoot = 16,  // root of a super block or disconnected: has no name
    kCantMount = 32,  // this client has removed the name
  };

  SuperBlock& d_sb() const { return *d_sb_; }
  Inode* d_inode() const { return d_inode_; }  // null: negative
  bool is_negative() const { return d_inode_ == nullptr; }
  bool is_root() const { return (flags() & kRoot) != 0; }
  bool is_hashed() const { return (flags() & kHashed) != 0; }

  uint32_t flags() const { return d_flags_.load(std::memory_order_acquire); }
  void set_flags(uint32_t flags) { d_flags_.fetch_or(flags, std::memory_order_acq_rel); }
  void clear_flags(uint32_t flags) { d_flags_.fetch_and(~flags, std::memory_order_acq_rel); }
  void touch() {
    if ((d_flags_.load(std::memory_order_relaxed) & kReferenced) == 0) set_flags(kReferenced);
  }

  // Inside an rcu read section only: a rename replaces and retires it.
  const DentryPosition& position() const { return *d_pos_.load(std::memory_order_acquire); }
  uint32_t d_time() const { return d_time_.load(std::memory_order_acquire); }
  // Copies; callable anywhere.
  std::string d_name() const;
  Ref<Dentry> d_parent() const;  // itself for a root

  // Invariant (3), sampled: `dir_sample` is a sample, known to cover D, of the lease of pos.dir,
  // taken before `pos` was found to be this dentry's. The position is looked at last: a rename that
  // came between is noticed.
  bool is_true_at(const DentryPosition& pos, uint64_t dir_sample) const {
    return LeaseWord::version(dir_sample) == d_time() && (flags() & (kBusy | kHashed)) == kHashed &&
           d_pos_.load(std::memory_order_acquire) == &pos;
  }

  void last_ref_dropped();

 private:
  friend class Dcache;
  Dentry(SuperBlock& sb, Inode* inode) : d_sb_(&sb), d_inode_(inode) {}
  ~Dentry() = default;
  // Moves the count from 1 (the hash's) to 0: nobody can take the dentry any more.
  bool try_kill();
  static void destroy(Dentry* dentry);
  // The first position lies behind the dentry in the same block of memory.
  DentryPosition* own_position() { return reinterpret_cast<DentryPosition*>(this + 1); }

  SuperBlock* const d_sb_;
  Inode* const d_inode_;  // counted
  std::atomic<DentryPosition*> d_pos_{nullptr};
  std::atomic<uint32_t> d_time_{0};
  std::atomic<uint32_t> d_flags_{0};
  // LRU of the shard that hashes it; guarded by the shard's lock.
  Dentry* d_lru_next_ = nullptr;
  Dentry* d_lru_prev_ = nullptr;
};

// Both name one place: the same dentry, or the same directory.
bool is_same_place(const Dentry& a, const Dentry& b);
// Whether `dentry` is `ancestor` or below it, by the positions that are known, true or not.
bool is_subdir(const Dentry& dentry, const Dentry& ancestor);

}  // namespace myfs::fs
