#include "sdk/fs/mount.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "sdk/base/limits.h"
#include "sdk/base/rcu.h"
#include "sdk/fs/fs_struct.h"
#include "sdk/fs/mount_table.h"
#include "sdk/fs/path.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

namespace {
std::atomic<uint32_t> g_next_mount{1};
}  // namespace

Mount::Mount(Ref<SuperBlock> sb, Ref<Dentry> root, bool read_only)
    : mnt_id(g_next_mount.fetch_add(1, std::memory_order_relaxed)),
      mnt_sb_(sb.leak()),
      mnt_root_(root.leak()),
      write_count_(read_only) {
  mnt_sb_->mount_made();
}

void Mount::last_ref_dropped() {
  assert(place_.load(std::memory_order_relaxed) == nullptr);
  // References go now, the memory when its readers have left.
  Ref<SuperBlock> sb(mnt_sb_, Ref<SuperBlock>::Adopt{});
  mnt_root_->unref();
  rcu_delete(this);
  SuperBlock::mount_gone(std::move(sb));
}

Path Mount::mountpoint() const {
  Path path;
  {
    RcuReadGuard guard;
    const Place* place = place_rcu();
    if (place == nullptr) return path;
    path.mnt = RefPtr<Mount>::try_from(place->parent);
    path.dentry = RefPtr<Dentry>::try_from(place->mountpoint);
  }
  return path.mnt && path.dentry ? std::move(path) : Path();
}

struct MntNamespace::Snapshot {
  Mount* root = nullptr;
  absl::flat_hash_map<std::pair<const Mount*, const Dentry*>, Mount*> at;
  absl::flat_hash_set<const Dentry*> mountpoints;
};

MntNamespace::MntNamespace() : MntNamespace(make_ref<MountTable>()) {}
MntNamespace::MntNamespace(Ref<MountTable> table)
    : table_(std::move(table)), snapshot_(new Snapshot) {}

MntNamespace::~MntNamespace() {
  MountTable::Dropped dropped;
  {
    MutexLock lock(table_->namespace_sem);
    std::vector<Mount*> all;
    all.reserve(mounts_.size());
    for (const Ref<Mount>& mount : mounts_) all.push_back(mount.get());
    table_->umount(std::move(all), false, &dropped);
  }
  call_rcu(const_cast<Snapshot*>(snapshot_.load(std::memory_order_relaxed)),
           [](void* p) { delete static_cast<Snapshot*>(p); });
}

void MntNamespace::publish() {
  auto* next = new Snapshot;
  for (const Ref<Mount>& mount : mounts_) {
    const Mount::Place* place = mount->place_rcu();
    if (place == nullptr) {
      next->root = mount.get();
    } else {
      [[maybe_unused]] const bool alone =
          next->at.emplace(std::pair(place->parent, place->mountpoint), mount.get()).second;
      assert(alone);  // invariant (1) of Mount
      next->mountpoints.insert(place->mountpoint);
    }
  }
  const Snapshot* old = snapshot_.exchange(next, std::memory_order_acq_rel);
  call_rcu(const_cast<Snapshot*>(old), [](void* p) { delete static_cast<Snapshot*>(p); });
}

Result<Ref<MntNamespace>> MntNamespace::copy(const MntNamespace& of, Path* root, Path* pwd) {
  Ref<MntNamespace> made(new MntNamespace(of.table_), Ref<MntNamespace>::Adopt{});
  MountTable::Tree tree;
  std::vector<Mount*> originals;
  MountTable& table = *of.table_;
  {
    MutexLock lock(table.namespace_sem);
    Mount* top = of.root_rcu();
    if (top == nullptr) return made;
    if (table.mounts().size() + of.mounts_.size() > kMountsMax) return Errno(ENOSPC);
    tree = table.copy_tree(*top, top->mnt_root(), MountTable::Copy::kAll, &originals);
    for (const MountTable::Node& node : tree) {
      if (node.mountpoint) {
        table.set_place(*node.mount, tree[node.parent].mount, node.mountpoint, nullptr);
      }
      table.enter(node.mount, *made);
    }
    made->publish();
  }
  for (Path* path : {root, pwd}) {
    auto found = std::find(originals.begin(), originals.end(), path->mnt.get());
    if (found != originals.end()) path->mnt = tree[found - originals.begin()].mount;
  }
  return made;
}

Result<Ref<Mount>> MntNamespace::attach_first(Ref<SuperBlock> sb, bool read_only, FsStruct* fs) {
  if (!sb->is_active()) return Errno(EINVAL);
  Dentry& root = sb->s_root();
  MutexLock lock(table_->namespace_sem);
  // Before there is a Mount: with it the super block would end.
  if (root_rcu() != nullptr) return Errno(EBUSY);
  Ref<Mount> mount(new Mount(std::move(sb), Ref<Dentry>(root), read_only), Ref<Mount>::Adopt{});
  table_->enter(mount, *this);
  publish();
  fs->replace_root(Path(), Path(mount, Ref<Dentry>(root)));
  return mount;
}

Result<Ref<Mount>> MntNamespace::attach(Ref<SuperBlock> sb, const Path& at, bool read_only) {
  if (!sb->is_active()) return Errno(EINVAL);
  MountTable::Dropped dropped;
  Dentry& root = sb->s_root();
  Ref<Mount> mount(new Mount(std::move(sb), Ref<Dentry>(root), read_only), Ref<Mount>::Adopt{});
  const MountTable::Tree tree{{mount, 0, nullptr}};
  MutexLock lock(table_->namespace_sem);
  MYFS_TRY(table_->attach(tree, at, *this, &dropped));
  return mount;
}

Result<Ref<Mount>> MntNamespace::bind(const Path& from, const Path& at, bool recursive) {
  MountTable::Dropped dropped;
  MountTable::Tree tree;
  MutexLock lock(table_->namespace_sem);
  Mount& source = *from.mnt;
  if (source.mnt_ns_ != this || source.unbindable_) return Errno(EINVAL);
  tree = table_->copy_tree(source, *from.dentry,
                           recursive ? MountTable::Copy::kBindable : MountTable::Copy::kRootOnly,
                           nullptr);
  Ref<Mount> root = tree[0].mount;
  MYFS_TRY(table_->attach(tree, at, *this, &dropped));
  return root;
}

std::vector<Mount*> MntNamespace::tree_of(Mount& mount) const {
  std::vector<Mount*> tree{&mount};
  for (size_t i = 0; i < tree.size(); ++i) {
    const std::vector<Mount*>& children = table_->children(*tree[i]);
    tree.insert(tree.end(), children.begin(), children.end());
  }
  return tree;
}

Result<Mount*> MntNamespace::mount_of(const Path& path) const {
  const bool good = path.mnt->mnt_ns_ == this && path.mnt->is_root(*path.dentry);
  return good ? Result<Mount*>(path.mnt.get()) : Errno(EINVAL);
}

Result<void> MntNamespace::move(const Path& from, const Path& at) {
  MountTable::Dropped dropped;
  MountTable::Tree tree;
  MutexLock lock(table_->namespace_sem);
  MYFS_ASSIGN(Mount* const mount, mount_of(from));
  const Mount::Place* place = mount->place_rcu();
  if (place == nullptr || place->parent->peer_group_ != 0) return Errno(EINVAL);
  const std::vector<Mount*> all = tree_of(*mount);
  const Path target = table_->topmost(at);
  if (target.inode().is_dir() != mount->mnt_root().d_inode()->is_dir()) return Errno(EINVAL);
  absl::flat_hash_map<const Mount*, size_t> index;
  for (const Mount* each : all) index.emplace(each, index.size());
  if (index.contains(target.mnt.get())) return Errno(ELOOP);
  const bool shares = target.mnt->peer_group_ != 0;
  for (Mount* each : all) {
    if (shares && each->unbindable_) return Errno(EINVAL);
    const Mount::Place* its = each->place_rcu();
    const auto parent = index.find(its->parent);
    tree.push_back({Ref<Mount>(*each), parent == index.end() ? 0 : parent->second,
                    Ref<Dentry>(*its->mountpoint)});
  }
  return table_->attach(tree, at, *this, &dropped);
}

Result<void> MntNamespace::set_propagation(const Path& at, Propagation type, bool recursive) {
  MutexLock lock(table_->namespace_sem);
  MYFS_ASSIGN(Mount* const mount, mount_of(at));
  for (Mount* each : recursive ? tree_of(*mount) : std::vector<Mount*>{mount}) {
    table_->change_propagation(*each, type);
  }
  return ok_result();
}

Result<void> MntNamespace::set_read_only(const Path& at, bool read_only, bool recursive) {
  MutexLock lock(table_->namespace_sem);
  MYFS_ASSIGN(Mount* const mount, mount_of(at));
  const std::vector<Mount*> all = recursive ? tree_of(*mount) : std::vector<Mount*>{mount};
  std::vector<Mount*> changed;
  for (Mount* each : all) {
    if (each->is_read_only() == read_only) continue;
    if (!read_only) {
      each->write_count_.set_read_only(false);
      continue;
    }
    if (Errno busy = each->write_count_.make_read_only(); !busy.ok()) {
      for (Mount* undo : changed) undo->write_count_.set_read_only(false);
      return busy;
    }
    changed.push_back(each);
  }
  return ok_result();
}

Errno MntNamespace::busy(const Mount& mount, unsigned own_refs, const FsStruct& own,
                         Umount how) const {
  if (mount.mnt_ns_ != this) return Errno(EINVAL);
  if (how == Umount::kTree) return Errno();
  if (table_->has_children(mount)) return Errno(EBUSY);
  if (how == Umount::kBusy) return Errno();
  const bool used =
      own.with_refs_to(mount, [&](unsigned refs) { return mount.ref_count() > own_refs + refs; });
  return used || table_->replicas_busy(mount) ? Errno(EBUSY) : Errno();
}

Result<void> MntNamespace::may_detach(Ref<Mount> mount, unsigned own_refs,
                                      const FsStruct& own) const {
  MutexLock lock(table_->namespace_sem);
  return busy(*mount, 2 + own_refs, own, Umount::kIdle);
}

Result<void> MntNamespace::detach(Ref<Mount> mount, unsigned own_refs, const FsStruct& own,
                                  Umount how) {
  MountTable::Dropped dropped;
  MutexLock lock(table_->namespace_sem);
  // The list's, the argument's, and the caller's own.
  MYFS_TRY(Result<void>(busy(*mount, 2 + own_refs, own, how)));
  table_->umount(how == Umount::kTree ? tree_of(*mount) : std::vector<Mount*>{mount.get()}, true,
                 &dropped);
  return ok_result();
}

void MntNamespace::detach_lost(SuperBlock& sb) {
  Dcache& dcache = sb.s_dcache;
  if (dcache.lost_mountpoints() == dcache.lost_detached.load(std::memory_order_acquire)) return;
  MountTable::Dropped dropped;
  MutexLock lock(table_->namespace_sem);
  const uint64_t lost = dcache.lost_mountpoints();
  while (true) {
    const std::vector<Mount*>& all = table_->mounts();
    const auto found = std::find_if(all.begin(), all.end(), [](const Mount* mount) {
      const Mount::Place* place = mount->place_rcu();
      return place != nullptr && (place->mountpoint->flags() & Dentry::kCantMount) != 0;
    });
    if (found == all.end()) break;
    table_->umount((*found)->mnt_ns_->tree_of(**found), false, &dropped);
  }
  dcache.lost_detached.store(lost, std::memory_order_release);
}

RefPtr<Mount> MntNamespace::root() const {
  RcuReadGuard guard;
  return RefPtr<Mount>::try_from(root_rcu());
}

std::vector<Ref<Mount>> MntNamespace::mounts() const {
  MutexLock lock(table_->namespace_sem);
  return mounts_;
}

void MntNamespace::for_each_rcu(absl::FunctionRef<void(const MountInfo&)> fn) const {
  MutexLock lock(table_->namespace_sem);
  RcuReadGuard guard;
  for (const Ref<Mount>& mount : mounts_) {
    const Mount::Place* place = mount->place_rcu();
    fn({*mount, place == nullptr ? nullptr : place->parent, mount->peer_group_,
        mount->master_group_, mount->unbindable_});
  }
}

std::vector<Ref<SuperBlock>> MntNamespace::super_blocks() const {
  std::vector<Ref<SuperBlock>> all;
  MutexLock lock(table_->namespace_sem);
  for (const Ref<Mount>& mount : mounts_) {
    const bool known = std::any_of(all.begin(), all.end(), [&](const Ref<SuperBlock>& sb) {
      return sb.get() == &mount->mnt_sb();
    });
    if (!known) all.push_back(Ref<SuperBlock>(mount->mnt_sb()));
  }
  return all;
}

size_t MntNamespace::count(const SuperBlock& sb) const {
  MutexLock lock(table_->namespace_sem);
  return static_cast<size_t>(
      std::count_if(mounts_.begin(), mounts_.end(),
                    [&](const Ref<Mount>& mount) { return &mount->mnt_sb() == &sb; }));
}

Mount* MntNamespace::lookup_mnt_rcu(const Mount& mnt, const Dentry& dentry) const {
  const Snapshot* snapshot = snapshot_.load(std::memory_order_acquire);
  auto found = snapshot->at.find(std::pair(&mnt, &dentry));
  return found == snapshot->at.end() ? nullptr : found->second;
}

Mount* MntNamespace::root_rcu() const { return snapshot_.load(std::memory_order_acquire)->root; }

bool MntNamespace::is_mountpoint(const Dentry& dentry) const {
  if ((dentry.flags() & Dentry::kMounted) == 0) return false;
  RcuReadGuard guard;
  return snapshot_.load(std::memory_order_acquire)->mountpoints.contains(&dentry);
}

}  // namespace myfs::fs
