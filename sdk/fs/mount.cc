#include "sdk/fs/mount.h"

#include <algorithm>
#include <utility>

#include "sdk/base/rcu.h"
#include "sdk/fs/path.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

Mount::Mount(Ref<SuperBlock> sb, bool read_only)
    : mnt_sb_(sb.leak()), mnt_root_(Ref<Dentry>(mnt_sb_->s_root()).leak()), read_only_(read_only) {}

void Mount::last_ref_dropped() {
  // References go now, the memory when its readers have left.
  SuperBlock* sb = mnt_sb_;
  Mount* parent = mnt_parent_;
  Dentry* mountpoint = mnt_mountpoint_;
  mnt_root_->unref();
  rcu_delete(this);
  sb->unref();
  if (mountpoint != nullptr) mountpoint->unref();
  if (parent != nullptr) parent->unref();
}

struct MntNamespace::Snapshot {
  struct Entry {
    const Mount* parent;
    const Dentry* mountpoint;
    Mount* mount;
  };
  Mount* root = nullptr;
  std::vector<Entry> entries;  // newest first
};

MntNamespace::MntNamespace() : snapshot_(new Snapshot) {}

MntNamespace::~MntNamespace() {
  // Children before their parents.
  while (!mounts_.empty()) mounts_.pop_back();
  delete snapshot_.load(std::memory_order_relaxed);
}

void MntNamespace::publish_locked() {
  auto* next = new Snapshot;
  for (auto mount = mounts_.rbegin(); mount != mounts_.rend(); ++mount) {
    const Mount& m = **mount;
    if (m.mnt_parent() == nullptr && next->root == nullptr) next->root = mount->get();
    next->entries.push_back({m.mnt_parent(), m.mnt_mountpoint(), mount->get()});
  }
  const Snapshot* old = snapshot_.exchange(next, std::memory_order_acq_rel);
  call_rcu(const_cast<Snapshot*>(old), [](void* p) { delete static_cast<Snapshot*>(p); });
}

Result<Ref<Mount>> MntNamespace::attach(Ref<SuperBlock> sb, const Path* at, bool read_only) {
  if (at != nullptr && !at->inode().is_dir()) return Errno(ENOTDIR);
  Ref<Mount> mount(new Mount(std::move(sb), read_only), Ref<Mount>::Adopt{});
  if (at != nullptr) {
    mount->mnt_parent_ = RefPtr<Mount>(at->mnt).leak();
    mount->mnt_mountpoint_ = RefPtr<Dentry>(at->dentry).leak();
  }
  MutexLock lock(ns_mutex_);
  if (at != nullptr) at->dentry->set_flags(Dentry::kMounted);
  mounts_.push_back(mount);
  publish_locked();
  return mount;
}

Result<void> MntNamespace::detach(Ref<Mount> mount, unsigned own_refs, bool lazy) {
  RefPtr<Mount> removed;  // dropped after the lock
  MutexLock lock(ns_mutex_);
  auto found = std::find(mounts_.begin(), mounts_.end(), mount);
  if (found == mounts_.end()) return Errno(EINVAL);
  bool has_children = std::any_of(mounts_.begin(), mounts_.end(), [&](const Ref<Mount>& other) {
    return other->mnt_parent() == mount.get();
  });
  if (has_children) return Errno(EBUSY);
  // The list's, the argument's, and the caller's own.
  if (!lazy && mount->ref_count() > 2 + own_refs) return Errno(EBUSY);
  removed = std::move(*found);
  mounts_.erase(found);
  publish_locked();
  return ok_result();
}

RefPtr<Mount> MntNamespace::root() const {
  RcuReadGuard guard;
  return RefPtr<Mount>::try_from(root_rcu());
}

std::vector<Ref<Mount>> MntNamespace::mounts() const {
  MutexLock lock(ns_mutex_);
  return mounts_;
}

Mount* MntNamespace::lookup_mnt_rcu(const Mount& mnt, const Dentry& dentry) const {
  const Snapshot* snapshot = snapshot_.load(std::memory_order_acquire);
  // Oldest of a place first: the walk then follows the root of that one to what covers it.
  for (auto entry = snapshot->entries.rbegin(); entry != snapshot->entries.rend(); ++entry) {
    if (entry->parent == &mnt && entry->mountpoint == &dentry) return entry->mount;
  }
  return nullptr;
}

Mount* MntNamespace::root_rcu() const { return snapshot_.load(std::memory_order_acquire)->root; }

bool MntNamespace::is_mountpoint(const Dentry& dentry) const {
  if ((dentry.flags() & Dentry::kMounted) == 0) return false;
  RcuReadGuard guard;
  const Snapshot* snapshot = snapshot_.load(std::memory_order_acquire);
  return std::any_of(snapshot->entries.begin(), snapshot->entries.end(),
                     [&](const Snapshot::Entry& entry) { return entry.mountpoint == &dentry; });
}

}  // namespace myfs::fs
