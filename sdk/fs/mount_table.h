// MountTable: the mounts of all name spaces that were copied from one another, and how mounts and
// unmounts spread among them.
// Kernel counterpart: mount_hashtable and namespace_sem (fs/namespace.c), fs/pnode.c.  Differs:
// peer groups and masters are numbers that mounts carry, not lists through them: a group's slaves
// follow the group and not one of its members.  Documentation/filesystems/sharedsubtree.rst says
// what is meant.
// Thread safety: every member needs namespace_sem.
// Lock rank: namespace_sem kNamespace; no reference to a mount or dentry is dropped under it
// (Dropped).
// Owns / is owned by: shared by its name spaces; refers to their mounts.
// Invariants: (1) mounts_ are those with a name space, at most kMountsMax; (2) a group without
// members has no slaves; (3) a dentry is kMounted while a mount is placed there.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "sdk/base/ref.h"
#include "sdk/base/sync.h"
#include "sdk/fs/mount.h"
#include "sdk/fs/path.h"

namespace myfs::fs {

class MountTable final : public RefCounted<MountTable> {
 public:
  Mutex namespace_sem{LockRank::kNamespace};

  // A tree that is to be attached: parents before children, the root first, which has no place.
  struct Node {
    Ref<Mount> mount;
    size_t parent = 0;
    RefPtr<Dentry> mountpoint;
  };
  using Tree = std::vector<Node>;
  // What goes when the lock has been released: declared before it is taken.
  class Dropped {
   public:
    ~Dropped();
    void take(Ref<Mount> mount) { taken_out_.push_back(std::move(mount)); }
    void take(const Mount::Place* place);
    void discard(Tree tree) { discarded_.push_back(std::move(tree)); }

   private:
    std::vector<RefPtr<Mount>> taken_out_, parents_;  // declared first: dropped last
    std::vector<Tree> discarded_;
    std::vector<RefPtr<Dentry>> dentries_;
  };

  enum class Copy : uint8_t { kRootOnly, kBindable, kAll };

  // [copy_tree] Of the mount, from `root` on; with its peers' and master's groups. `originals`:
  // what each node is a copy of, or null.
  Tree copy_tree(Mount& mount, Dentry& root, Copy what, std::vector<Mount*>* originals) const;
  // [attach_recursive_mnt] At `at`, on top of what is mounted there, and wherever it spreads to.
  // The tree is the caller's, to be dropped without the lock. Errors: as MntNamespace::attach.
  Result<void> attach(const Tree& tree, const Path& at, MntNamespace& ns, Dropped* dropped);
  // The place of a mount under way, that nobody sees yet; or of one that moves.
  void set_place(Mount& mount, RefPtr<Mount> parent, RefPtr<Dentry> mountpoint, Dropped* dropped);
  void enter(Ref<Mount> mount, MntNamespace& ns);

  Mount* child_at(const Mount& parent, const Dentry& mountpoint) const;
  const std::vector<Mount*>& children(const Mount& mount) const;
  // Other than `but`.
  bool has_children(const Mount& mount, const Mount* but = nullptr) const;
  // The mount that covers all of it; null: none.
  Mount* topper(const Mount& mount) const { return child_at(mount, mount.mnt_root()); }
  // [lock_mount] The place on top of what is mounted at `at`.
  Path topmost(Path at) const;

  void change_propagation(Mount& mount, Propagation type);
  // [propagate_mount_busy]
  bool replicas_busy(const Mount& mount) const;
  // [umount_tree] Those; `propagates`: and their copies elsewhere.
  void umount(std::vector<Mount*> mounts, bool propagates, Dropped* dropped);

  const std::vector<Mount*>& mounts() const { return mounts_; }
  void publish(const std::vector<MntNamespace*>& of) const;
  uint64_t new_group() { return ++last_group_; }

 private:
  struct Replica {
    Mount* parent;
    Tree tree;
  };
  // Who is in which group just now: for many questions in a row.
  struct Groups {
    explicit Groups(const std::vector<Mount*>& mounts);
    absl::flat_hash_map<uint64_t, std::vector<Mount*>> peers, slaves;
  };
  // Mounts that what happens below `mount` spreads to; not itself.
  static std::vector<Mount*> receivers(const Mount& mount, const Groups& groups);
  // [propagate_mnt] Gives the tree its groups, too. `room`: for how many mounts; false: they are
  // more, and *replicas is not whole.
  bool propagate(const Tree& tree, const Mount& onto, const Dentry& mountpoint, size_t room,
                 std::vector<Replica>* replicas);
  static Tree clone(const Tree& tree, const std::vector<uint64_t>& peers,
                    const std::vector<uint64_t>& masters);
  void commit(const Tree& tree, Mount& parent, Dentry& mountpoint, Dropped* dropped);
  // Where the mounts spread to, gone over by attach() after the place is known to be good.
  Result<void> attach_all(const Tree& tree, const Path& place, MntNamespace& ns, Dropped* dropped);
  std::vector<Mount*> propagate_umount(std::vector<Mount*> mounts) const;
  void unmark(Dentry& mountpoint);
  void leave_group(Mount& mount);
  void take_out(Mount& mount, Dropped* dropped);

  std::vector<Mount*> mounts_;  // oldest first
  // By places, which set_place() alone changes.
  absl::flat_hash_map<std::pair<const Mount*, const Dentry*>, Mount*> at_;
  absl::flat_hash_map<const Mount*, std::vector<Mount*>> children_;
  absl::flat_hash_map<const Dentry*, size_t> mountpoints_;  // how many mounts are there
  uint64_t last_group_ = 0;
};

}  // namespace myfs::fs
