#include "sdk/fs/mount_table.h"

#include <algorithm>
#include <utility>

#include "sdk/base/limits.h"
#include "sdk/base/rcu.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

namespace {

template <typename T>
bool contains(const std::vector<T*>& all, const T* one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

MountTable::Dropped::~Dropped() {
  for (const RefPtr<Mount>& mount : taken_out_) mount->mnt_sb().mount_taken_out();
}

void MountTable::Dropped::take(const Mount::Place* place) {
  if (place == nullptr) return;
  parents_.push_back(RefPtr<Mount>::adopt(place->parent));
  dentries_.push_back(RefPtr<Dentry>::adopt(place->mountpoint));
  call_rcu(const_cast<Mount::Place*>(place), [](void* p) { delete static_cast<Mount::Place*>(p); });
}

void MountTable::set_place(Mount& mount, RefPtr<Mount> parent, RefPtr<Dentry> mountpoint,
                           Dropped* dropped) {
  const Mount::Place* next = nullptr;
  if (parent) {
    mountpoint->set_flags(Dentry::kMounted);
    next = new Mount::Place{parent.leak(), mountpoint.leak()};
  }
  const Mount::Place* old = mount.place_.exchange(next, std::memory_order_acq_rel);
  if (dropped != nullptr) dropped->take(old);
}

void MountTable::enter(Ref<Mount> mount, MntNamespace& ns) {
  mount->mnt_ns_ = &ns;
  mounts_.push_back(mount.get());
  mount->mnt_sb().mount_entered();
  ns.mounts_.push_back(std::move(mount));
}

Mount* MountTable::child_at(const Mount& parent, const Dentry& mountpoint) const {
  for (Mount* mount : mounts_) {
    const Mount::Place* place = mount->place_rcu();
    if (place != nullptr && place->parent == &parent && place->mountpoint == &mountpoint) {
      return mount;
    }
  }
  return nullptr;
}

bool MountTable::has_children(const Mount& mount, const Mount* but) const {
  return std::any_of(mounts_.begin(), mounts_.end(), [&](const Mount* other) {
    const Mount::Place* place = other->place_rcu();
    return place != nullptr && place->parent == &mount && other != but;
  });
}

Path MountTable::topmost(Path at) const {
  while (Mount* over = child_at(*at.mnt, *at.dentry)) {
    at = Path{Ref<Mount>(*over), Ref<Dentry>(over->mnt_root())};
  }
  return at;
}

void MountTable::publish(const std::vector<MntNamespace*>& of) const {
  for (MntNamespace* ns : of) ns->publish();
}

// --- trees

MountTable::Tree MountTable::copy_tree(Mount& mount, Dentry& root, Copy what,
                                       std::vector<Mount*>* of_each) const {
  std::vector<Mount*> originals;
  Tree tree;
  const auto add = [&](Mount& of, Dentry& of_root, size_t parent, Dentry* mountpoint) {
    Ref<Mount> copy(new Mount(Ref<SuperBlock>(of.mnt_sb()), Ref<Dentry>(of_root), false),
                    Ref<Mount>::Adopt{});
    copy->write_count_.set_read_only(of.is_read_only());
    copy->peer_group_ = of.peer_group_;
    copy->master_group_ = of.master_group_;
    copy->unbindable_ = of.unbindable_;
    RefPtr<Dentry> place;
    if (mountpoint != nullptr) place = Ref<Dentry>(*mountpoint);
    tree.push_back({std::move(copy), parent, std::move(place)});
    originals.push_back(&of);
  };
  add(mount, root, 0, nullptr);
  for (size_t i = 0; what != Copy::kRootOnly && i < originals.size(); ++i) {
    for (Mount* child : mounts_) {
      const Mount::Place* place = child->place_rcu();
      if (place == nullptr || place->parent != originals[i]) continue;
      if (i == 0 && !is_subdir(*place->mountpoint, root)) continue;
      if (what == Copy::kBindable && child->unbindable_) continue;
      add(*child, child->mnt_root(), i, place->mountpoint);
    }
  }
  if (of_each != nullptr) *of_each = std::move(originals);
  return tree;
}

MountTable::Tree MountTable::clone(const Tree& tree, const std::vector<uint64_t>& peers,
                                   const std::vector<uint64_t>& masters) {
  Tree copy;
  std::vector<size_t> index(tree.size(), SIZE_MAX);
  for (size_t i = 0; i < tree.size(); ++i) {
    const Mount& of = *tree[i].mount;
    const bool lost = i > 0 && index[tree[i].parent] == SIZE_MAX;
    if (lost || of.unbindable_) continue;
    Ref<Mount> mount(new Mount(Ref<SuperBlock>(of.mnt_sb()), Ref<Dentry>(of.mnt_root()), false),
                     Ref<Mount>::Adopt{});
    mount->write_count_.set_read_only(of.is_read_only());
    mount->peer_group_ = peers[i];
    mount->master_group_ = masters[i];
    index[i] = copy.size();
    copy.push_back({std::move(mount), i == 0 ? 0 : index[tree[i].parent], tree[i].mountpoint});
  }
  return copy;
}

std::vector<Mount*> MountTable::receivers(const Mount& mount) const {
  std::vector<Mount*> found;
  std::vector<uint64_t> groups;
  if (mount.peer_group_ != 0) groups.push_back(mount.peer_group_);
  for (size_t i = 0; i < groups.size(); ++i) {
    for (Mount* other : mounts_) {
      const bool member = other->peer_group_ == groups[i];
      const bool slave = other->master_group_ == groups[i];
      if (other == &mount || !(member || slave) || contains(found, other)) continue;
      found.push_back(other);
      const uint64_t next = other->peer_group_;
      if (next != 0 && std::find(groups.begin(), groups.end(), next) == groups.end()) {
        groups.push_back(next);
      }
    }
  }
  return found;
}

std::vector<MountTable::Replica> MountTable::propagate(const Tree& tree, const Mount& onto,
                                                       const Dentry& mountpoint) {
  std::vector<Replica> replicas;
  if (onto.peer_group_ == 0) return replicas;
  struct Group {
    uint64_t id;
    std::vector<uint64_t> peers, masters;  // of the nodes on its members
  };
  const auto new_groups = [&] {
    std::vector<uint64_t> ids(tree.size());
    for (uint64_t& id : ids) id = new_group();
    return ids;
  };
  std::vector<Group> groups(1);
  groups[0].id = onto.peer_group_;
  for (const Node& node : tree) {
    if (node.mount->peer_group_ == 0) node.mount->peer_group_ = new_group();
    groups[0].peers.push_back(node.mount->peer_group_);
    groups[0].masters.push_back(node.mount->master_group_);
  }
  const std::vector<uint64_t> none(tree.size());
  const auto replicate = [&](Mount* to, const std::vector<uint64_t>& peers,
                             const std::vector<uint64_t>& masters) {
    // What it shows of the super block may lie elsewhere.
    if (!is_subdir(mountpoint, to->mnt_root())) return;
    replicas.push_back({to, clone(tree, peers, masters)});
  };
  for (size_t i = 0; i < groups.size(); ++i) {
    const Group group = groups[i];
    for (Mount* mount : mounts_) {
      if (mount == &onto) continue;
      if (mount->peer_group_ == group.id) {
        replicate(mount, group.peers, group.masters);
      } else if (mount->master_group_ == group.id && mount->peer_group_ == 0) {
        replicate(mount, none, group.peers);
      } else if (mount->master_group_ == group.id &&
                 std::none_of(groups.begin(), groups.end(),
                              [&](const Group& g) { return g.id == mount->peer_group_; })) {
        groups.push_back({mount->peer_group_, new_groups(), group.peers});
      }
    }
  }
  return replicas;
}

void MountTable::commit(const Tree& tree, Mount& parent, Dentry& mountpoint, Dropped* dropped) {
  MntNamespace& ns = *parent.mnt_ns_;
  Mount* const covered = child_at(parent, mountpoint);
  Mount& root = *tree[0].mount;
  set_place(root, Ref<Mount>(parent), Ref<Dentry>(mountpoint), dropped);
  for (size_t i = 1; i < tree.size(); ++i) {
    const Node& node = tree[i];
    if (node.mount->mnt_ns_ != nullptr) continue;  // it moves with its parent
    set_place(*node.mount, tree[node.parent].mount, node.mountpoint, dropped);
  }
  for (const Node& node : tree) {
    if (node.mount->mnt_ns_ == nullptr) enter(node.mount, ns);
  }
  if (covered == nullptr) return;
  // What was there before stays on top.
  Path top = topmost(Path{Ref<Mount>(root), Ref<Dentry>(root.mnt_root())});
  set_place(*covered, top.mnt, top.dentry, dropped);
}

Result<void> MountTable::attach(const Tree& tree, const Path& at, MntNamespace& ns,
                                Dropped* dropped) {
  const Path place = topmost(at);
  if (place.mnt->mnt_ns_ != &ns) return Errno(EINVAL);
  Dentry& mountpoint = *place.dentry;
  if (mountpoint.d_inode()->is_dir() != tree[0].mount->mnt_root().d_inode()->is_dir()) {
    return Errno(ENOTDIR);
  }
  // The order says it to whoever removes it now: he looks at the mark after he has set kDead.
  mountpoint.set_flags(Dentry::kMounted);
  if ((mountpoint.d_inode()->i_flags.load(std::memory_order_seq_cst) & Inode::kDead) != 0) {
    return Errno(ENOENT);
  }
  std::vector<Replica> replicas = propagate(tree, *place.mnt, mountpoint);
  std::vector<MntNamespace*> changed{&ns};
  size_t total = mounts_.size() + tree.size();
  for (const Replica& replica : replicas) {
    total += replica.tree.size();
    if (!contains(changed, replica.parent->mnt_ns_)) changed.push_back(replica.parent->mnt_ns_);
  }
  if (total > kMountsMax) {
    for (Replica& replica : replicas) dropped->discard(std::move(replica.tree));
    return Errno(ENOSPC);
  }
  commit(tree, *place.mnt, mountpoint, dropped);
  for (Replica& replica : replicas) {
    if (replica.tree.empty()) continue;
    commit(replica.tree, *replica.parent, mountpoint, dropped);
  }
  publish(changed);
  return ok_result();
}

// --- propagation

void MountTable::leave_group(Mount& mount) {
  const uint64_t group = std::exchange(mount.peer_group_, 0);
  if (group == 0) return;
  const bool others = std::any_of(mounts_.begin(), mounts_.end(),
                                  [&](const Mount* m) { return m->peer_group_ == group; });
  if (others) return;
  // Invariant (2): its slaves go to its master.
  for (Mount* other : mounts_) {
    if (other->master_group_ == group) other->master_group_ = mount.master_group_;
  }
}

void MountTable::change_propagation(Mount& mount, Propagation type) {
  if (type == Propagation::kShared) {
    if (mount.peer_group_ == 0) mount.peer_group_ = new_group();
    mount.unbindable_ = false;
    return;
  }
  const uint64_t group = mount.peer_group_;
  leave_group(mount);
  if (type == Propagation::kSlave) {
    const bool peers = std::any_of(mounts_.begin(), mounts_.end(), [&](const Mount* m) {
      return group != 0 && m->peer_group_ == group;
    });
    if (peers) mount.master_group_ = group;
    return;
  }
  mount.master_group_ = 0;
  mount.unbindable_ = type == Propagation::kUnbindable;
}

bool MountTable::replicas_busy(const Mount& mount) const {
  const Mount::Place* place = mount.place_rcu();
  if (place == nullptr) return false;
  for (const Mount* receiver : receivers(*place->parent)) {
    const Mount* replica = child_at(*receiver, *place->mountpoint);
    if (replica == nullptr) continue;
    const Mount* over = topper(*replica);
    if (has_children(*replica, over)) continue;
    // The list's reference, and that of a mount that covers it.
    if (replica->ref_count() > (over != nullptr ? 2u : 1u)) return true;
  }
  return false;
}

// Copies elsewhere go along, unless something is mounted on them; one mount that covers a copy
// takes its place.
std::vector<Mount*> MountTable::propagate_umount(std::vector<Mount*> mounts) const {
  const size_t given = mounts.size();
  for (size_t i = 0; i < given; ++i) {
    const Mount::Place* place = mounts[i]->place_rcu();
    if (place == nullptr) continue;
    for (const Mount* receiver : receivers(*place->parent)) {
      Mount* replica = child_at(*receiver, *place->mountpoint);
      if (replica != nullptr && !contains(mounts, replica)) mounts.push_back(replica);
    }
  }
  const auto keeps = [&](const Mount* replica) {
    const Mount* over = topper(*replica);
    return std::any_of(mounts_.begin(), mounts_.end(), [&](const Mount* other) {
      const Mount::Place* place = other->place_rcu();
      return place != nullptr && place->parent == replica && other != over &&
             !contains(mounts, other);
    });
  };
  for (bool changed = true; changed;) {
    const auto keeper = std::find_if(mounts.begin() + static_cast<ptrdiff_t>(given), mounts.end(),
                                     [&](const Mount* replica) { return keeps(replica); });
    changed = keeper != mounts.end();
    if (changed) mounts.erase(keeper);
  }
  return mounts;
}

void MountTable::take_out(Mount& mount, Dropped* dropped) {
  change_propagation(mount, Propagation::kPrivate);
  set_place(mount, nullptr, nullptr, dropped);
  std::erase(mounts_, &mount);
  MntNamespace& ns = *std::exchange(mount.mnt_ns_, nullptr);
  auto found = std::find_if(ns.mounts_.begin(), ns.mounts_.end(),
                            [&](const Ref<Mount>& m) { return m.get() == &mount; });
  dropped->take(std::move(*found));
  ns.mounts_.erase(found);
}

void MountTable::umount(std::vector<Mount*> mounts, bool propagates, Dropped* dropped) {
  if (propagates) mounts = propagate_umount(std::move(mounts));
  for (Mount* mount : mounts) {
    Mount* over = topper(*mount);
    if (over == nullptr || contains(mounts, over)) continue;
    const Mount::Place* place = mount->place_rcu();
    while (place != nullptr && contains(mounts, place->parent)) place = place->parent->place_rcu();
    if (place == nullptr) continue;
    set_place(*over, Ref<Mount>(*place->parent), Ref<Dentry>(*place->mountpoint), dropped);
  }
  std::vector<MntNamespace*> changed;
  for (Mount* mount : mounts) {
    if (!contains(changed, mount->mnt_ns_)) changed.push_back(mount->mnt_ns_);
    take_out(*mount, dropped);
  }
  publish(changed);
}

}  // namespace myfs::fs
