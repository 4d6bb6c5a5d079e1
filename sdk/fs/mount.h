// Mount: a super block's tree at a place of a name space; MntNamespace: all mounts that a task
// sees.
// Kernel counterpart: struct mount, struct mnt_namespace (fs/namespace.c).  Differs: no
// propagation, no bind mounts; the table is an immutable snapshot, since a client has a handful of
// mounts.
// Thread safety: all. Mounts and snapshots are freed by rcu.
// Lock rank: ns_mutex kNamespace.
// Owns / is owned by: the name space owns its mounts, a mount its super block, its root and the
// place it covers; paths and files hold mounts. The last reference to the last mount of a super
// block kills the super block.
// Invariants: (1) a mount's place never changes; (2) the newest mount on a place covers the older
// ones.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "sdk/base/call_context.h"
#include "sdk/base/ref.h"
#include "sdk/base/result.h"
#include "sdk/base/sync.h"
#include "sdk/fs/dentry.h"

namespace myfs::fs {

struct Path;

class Mount final : public RefCounted<Mount> {
 public:
  SuperBlock& mnt_sb() const { return *mnt_sb_; }
  Dentry& mnt_root() const { return *mnt_root_; }
  Mount* mnt_parent() const { return mnt_parent_; }  // null: the root of the name space
  Dentry* mnt_mountpoint() const { return mnt_mountpoint_; }
  bool is_read_only() const { return read_only_.load(std::memory_order_relaxed); }
  void set_read_only(bool value) { read_only_.store(value, std::memory_order_relaxed); }

  ~Mount() = default;
  void last_ref_dropped();

 private:
  friend class MntNamespace;
  Mount(Ref<SuperBlock> sb, bool read_only);

  // Counted; constant until the memory is freed, since readers in rcu sections follow them.
  SuperBlock* const mnt_sb_;
  Dentry* const mnt_root_;
  Mount* mnt_parent_ = nullptr;
  Dentry* mnt_mountpoint_ = nullptr;
  std::atomic<bool> read_only_;
};

class MntNamespace final : public RefCounted<MntNamespace> {
 public:
  MntNamespace();
  ~MntNamespace();

  // `at` null: on top of everything, the new "/" (must be given for the first mount). Else a
  // directory: ENOTDIR, EBUSY never.
  Result<Ref<Mount>> attach(Ref<SuperBlock> sb, const Path* at, bool read_only);
  // EBUSY if other mounts hang below it or somebody uses it beyond `own_refs` references that the
  // caller holds or answers for; `detach`: takes it out all the same, it lives on until its last
  // user goes. EINVAL: not of this name space.
  Result<void> detach(Ref<Mount> mount, unsigned own_refs, bool lazy);
  RefPtr<Mount> root() const;
  std::vector<Ref<Mount>> mounts() const;

  // Inside an rcu read section. The mount that covers (mnt, dentry), topmost not yet followed;
  // null: none.
  Mount* lookup_mnt_rcu(const Mount& mnt, const Dentry& dentry) const;
  Mount* root_rcu() const;
  // Whether something is mounted on `dentry` here.
  bool is_mountpoint(const Dentry& dentry) const;

 private:
  struct Snapshot;
  void publish_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ns_mutex_);

  mutable Mutex ns_mutex_{LockRank::kNamespace};
  std::vector<Ref<Mount>> mounts_ ABSL_GUARDED_BY(ns_mutex_);
  std::atomic<const Snapshot*> snapshot_;
};

}  // namespace myfs::fs
