// Mount: a tree of a super block, or a part of one, at a place of a name space; MntNamespace: all
// mounts that a task sees.
// Kernel counterpart: struct mount, struct mnt_namespace (fs/namespace.c).  Differs: a name space
// publishes its table as an immutable snapshot, which walks read; namespace_sem is one lock for
// name spaces that were copied from one another, not for all of the process.
// Thread safety: all. Mounts, places and snapshots are freed by rcu.
// Lock rank: MountTable::namespace_sem, kNamespace.
// Owns / is owned by: the name space owns its mounts, a mount its super block, its root, and
// through its place the mount and the dentry that it covers; paths and files hold mounts. The last
// reference to the last mount of a super block kills the super block.
// Invariants: (1) at most one mount is at a place: one that is mounted over it is at its root; (2)
// what is not in a name space has no place, no name space and no propagation.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "sdk/base/call_context.h"
#include "sdk/base/ref.h"
#include "sdk/base/result.h"
#include "sdk/base/sync.h"
#include "sdk/fs/dentry.h"
#include "sdk/fs/write_count.h"

namespace myfs::fs {

class FsStruct;
class MntNamespace;
class MountTable;
struct Path;

// [MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE]
enum class Propagation : uint8_t { kPrivate, kShared, kSlave, kUnbindable };

class Mount final : public RefCounted<Mount> {
 public:
  // Where a mount is; both are held by it.
  struct Place {
    Mount* parent;
    Dentry* mountpoint;
  };
  const uint32_t mnt_id;  // unique in the process so far

  SuperBlock& mnt_sb() const { return *mnt_sb_; }
  Dentry& mnt_root() const { return *mnt_root_; }
  // [path_equal] Whether `dentry` is the root: a directory by any of its dentries.
  bool is_root(const Dentry& dentry) const { return is_same_place(dentry, *mnt_root_); }
  // Inside an rcu read section, or under namespace_sem. Null: the root of a name space, or in none.
  const Place* place_rcu() const { return place_.load(std::memory_order_acquire); }
  // The same, held; empty for null, and for a mount that goes away just now.
  Path mountpoint() const;

  bool is_read_only() const { return write_count_.is_read_only(); }
  // [mnt_want_write] without the super block's part.
  WriteCount& write_count() const { return write_count_; }
  ~Mount() = default;
  void last_ref_dropped();

 private:
  friend class MntNamespace;
  friend class MountTable;
  Mount(Ref<SuperBlock> sb, Ref<Dentry> root, bool read_only);

  // Counted; constant until the memory is freed, since readers in rcu sections follow them.
  SuperBlock* const mnt_sb_;
  Dentry* const mnt_root_;
  mutable WriteCount write_count_;
  std::atomic<const Place*> place_{nullptr};
  // Of namespace_sem:
  MntNamespace* mnt_ns_ = nullptr;  // null: in none
  uint64_t peer_group_ = 0;         // [mnt_group_id] 0: not shared
  uint64_t master_group_ = 0;       // [mnt_master] 0: no slave
  bool unbindable_ = false;
};

// What a mount is like, for lists.
struct MountInfo {
  const Mount& mount;
  const Mount* parent;  // null: it is on none
  uint64_t peer_group, master_group;
  bool unbindable;
};

class MntNamespace final : public RefCounted<MntNamespace> {
 public:
  MntNamespace();
  ~MntNamespace();

  // [copy_mnt_ns] With all mounts; *root and *pwd become their counterparts in the copy. ENOSPC
  // (kMountsMax).
  static Result<Ref<MntNamespace>> copy(const MntNamespace& of, Path* root, Path* pwd);

  // The first mount; its root becomes `fs`'s. EBUSY: there is one; EINVAL: `sb` has ended.
  Result<Ref<Mount>> attach_first(Ref<SuperBlock> sb, bool read_only, FsStruct* fs);
  // At a directory: ENOTDIR, ENOENT (removed), EINVAL (not of this name space, or `sb` has ended),
  // ENOSPC (kMountsMax).
  Result<Ref<Mount>> attach(Ref<SuperBlock> sb, const Path& at, bool read_only);
  // [MS_BIND, MS_REC] The tree below `from`, with what is mounted there if `recursive`, at `at`.
  // EINVAL: unbindable, or not of this name space. ENOTDIR: one is a directory.
  Result<Ref<Mount>> bind(const Path& from, const Path& at, bool recursive);
  // [MS_MOVE] The mount whose root `from` is. EINVAL: no such root, the root of all, below a shared
  // mount, or unbindable below one; one of both is a directory. ELOOP: `at` is below it.
  Result<void> move(const Path& from, const Path& at);
  // EINVAL: not the root of a mount of this name space.
  Result<void> set_propagation(const Path& at, Propagation type, bool recursive);
  // [MNT_READONLY] EINVAL as above; EBUSY: somebody writes; then nothing is changed.
  Result<void> set_read_only(const Path& at, bool read_only, bool recursive);

  enum class Umount : uint8_t {
    kIdle,  // EBUSY if other mounts hang below it or somebody uses it
    kBusy,  // whoever uses it; EBUSY for mounts below
    kTree,  // whoever uses it, with all mounts below
  };
  // Takes it out, and where it was propagated to. `own_refs`: references that the caller holds;
  // beside them, a root and working directory `own` that are the mount's root do not keep it.
  // EINVAL: not of this name space. Who uses it goes on; it ends with the last user.
  Result<void> detach(Ref<Mount> mount, unsigned own_refs, const FsStruct& own, Umount how);
  // What detach() would say to kIdle.
  Result<void> may_detach(Ref<Mount> mount, unsigned own_refs, const FsStruct& own) const;
  // [detach_mounts] Names of `sb` may have been removed by this client: so is what was mounted
  // there, in every name space that could be meant.
  void detach_lost(SuperBlock& sb);

  RefPtr<Mount> root() const;
  std::vector<Ref<Mount>> mounts() const;
  // fn(each), oldest first, under namespace_sem and in an rcu read section: a list holds no mount,
  // which would be busy.
  void for_each_rcu(absl::FunctionRef<void(const MountInfo&)> fn) const;
  // Each once, in the order in which they were first mounted.
  std::vector<Ref<SuperBlock>> super_blocks() const;
  // How many of its mounts are of `sb`.
  size_t count(const SuperBlock& sb) const;

  // Inside an rcu read section. The mount at (mnt, dentry); null: none.
  Mount* lookup_mnt_rcu(const Mount& mnt, const Dentry& dentry) const;
  Mount* root_rcu() const;
  // [is_local_mountpoint] Whether something is mounted on `dentry` here.
  bool is_mountpoint(const Dentry& dentry) const;

 private:
  friend class MountTable;
  struct Snapshot;
  explicit MntNamespace(Ref<MountTable> table);
  // All of these under namespace_sem.
  void publish();
  // The mount that `path` is the root of.
  Result<Mount*> mount_of(const Path& path) const;
  std::vector<Mount*> tree_of(Mount& mount) const;
  // `own_refs`: all that are not somebody else's, but for those of `own`.
  Errno busy(const Mount& mount, unsigned own_refs, const FsStruct& own, Umount how) const;

  const Ref<MountTable> table_;
  std::vector<Ref<Mount>> mounts_;  // oldest first
  std::atomic<const Snapshot*> snapshot_;
};

}  // namespace myfs::fs
