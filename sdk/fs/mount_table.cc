#include "sdk/fs/mount_table.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/container/flat_hash_set.h"
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
    ++mountpoints_[mountpoint.get()];
    next = new Mount::Place{parent.leak(), mountpoint.leak()};
  }
  const Mount::Place* old = mount.place_.exchange(next, std::memory_order_acq_rel);
  if (old != nullptr) {
    at_.erase(std::pair(old->parent, old->mountpoint));
    auto siblings = children_.find(old->parent);
    std::erase(siblings->second, &mount);
    if (siblings->second.empty()) children_.erase(siblings);
    --mountpoints_[old->mountpoint];
    unmark(*old->mountpoint);
  }
  if (next != nullptr) {
    [[maybe_unused]] const bool alone =
        at_.emplace(std::pair(next->parent, next->mountpoint), &mount).second;
    assert(alone);  // invariant (1) of Mount
    children_[next->parent].push_back(&mount);
  }
  if (dropped != nullptr) dropped->take(old);
}

void MountTable::unmark(Dentry& mountpoint) {
  auto count = mountpoints_.find(&mountpoint);
  if (count != mountpoints_.end() && count->second != 0) return;
  if (count != mountpoints_.end()) mountpoints_.erase(count);
  mountpoint.clear_flags(Dentry::kMounted);
}

void MountTable::enter(Ref<Mount> mount, MntNamespace& ns) {
  mount->mnt_ns_ = &ns;
  mounts_.push_back(mount.get());
  mount->mnt_sb().mount_entered();
  ns.mounts_.push_back(std::move(mount));
}

Mount* MountTable::child_at(const Mount& parent, const Dentry& mountpoint) const {
  auto found = at_.find(std::pair(&parent, &mountpoint));
  return found == at_.end() ? nullptr : found->second;
}

const std::vector<Mount*>& MountTable::children(const Mount& mount) const {
  static const std::vector<Mount*> none;
  auto found = children_.find(&mount);
  return found == children_.end() ? none : found->second;
}

bool MountTable::has_children(const Mount& mount, const Mount* but) const {
  const std::vector<Mount*>& all = children(mount);
  return std::any_of(all.begin(), all.end(), [&](const Mount* other) { return other != but; });
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
    for (Mount* child : children(*originals[i])) {
      const Mount::Place* place = child->place_rcu();
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

MountTable::Groups::Groups(const std::vector<Mount*>& mounts) {
  for (Mount* mount : mounts) {
    if (mount->peer_group_ != 0) peers[mount->peer_group_].push_back(mount);
    if (mount->master_group_ != 0) slaves[mount->master_group_].push_back(mount);
  }
}

std::vector<Mount*> MountTable::receivers(const Mount& mount, const Groups& groups) {
  std::vector<Mount*> found;
  absl::flat_hash_set<const Mount*> seen{&mount};
  std::vector<uint64_t> spread;
  absl::flat_hash_set<uint64_t> spreads;
  const auto spread_to = [&](uint64_t group) {
    if (group != 0 && spreads.insert(group).second) spread.push_back(group);
  };
  spread_to(mount.peer_group_);
  for (size_t i = 0; i < spread.size(); ++i) {
    for (const auto* of : {&groups.peers, &groups.slaves}) {
      auto members = of->find(spread[i]);
      if (members == of->end()) continue;
      for (Mount* other : members->second) {
        if (!seen.insert(other).second) continue;
        found.push_back(other);
        spread_to(other->peer_group_);
      }
    }
  }
  return found;
}

bool MountTable::propagate(const Tree& tree, const Mount& onto, const Dentry& mountpoint,
                           size_t room, std::vector<Replica>* replicas) {
  if (onto.peer_group_ == 0) return true;
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
    if (!is_subdir(mountpoint, to->mnt_root())) return true;
    Replica replica{to, clone(tree, peers, masters)};
    if (replica.tree.empty()) return true;
    const bool fits = replica.tree.size() <= room;
    if (fits) room -= replica.tree.size();
    replicas->push_back(std::move(replica));
    return fits;
  };
  for (size_t i = 0; i < groups.size(); ++i) {
    const Group group = groups[i];
    for (Mount* mount : mounts_) {
      if (mount == &onto) continue;
      if (mount->peer_group_ == group.id) {
        if (!replicate(mount, group.peers, group.masters)) return false;
      } else if (mount->master_group_ == group.id && mount->peer_group_ == 0) {
        if (!replicate(mount, none, group.peers)) return false;
      } else if (mount->master_group_ == group.id &&
                 std::none_of(groups.begin(), groups.end(),
                              [&](const Group& g) { return g.id == mount->peer_group_; })) {
        groups.push_back({mount->peer_group_, new_groups(), group.peers});
      }
    }
  }
  return true;
}

void MountTable::commit(const Tree& tree, Mount& parent, Dentry& mountpoint, Dropped* dropped) {
  MntNamespace& ns = *parent.mnt_ns_;
  Mount* const covered = child_at(parent, mountpoint);
  Mount& root = *tree[0].mount;
  for (size_t i = 1; i < tree.size(); ++i) {
    const Node& node = tree[i];
    if (node.mount->mnt_ns_ != nullptr) continue;  // it moves with its parent
    set_place(*node.mount, tree[node.parent].mount, node.mountpoint, dropped);
  }
  if (covered != nullptr) {
    // What was there before stays on top.
    Path top = topmost(Path{Ref<Mount>(root), Ref<Dentry>(root.mnt_root())});
    set_place(*covered, top.mnt, top.dentry, dropped);
  }
  set_place(root, Ref<Mount>(parent), Ref<Dentry>(mountpoint), dropped);
  for (const Node& node : tree) {
    if (node.mount->mnt_ns_ == nullptr) enter(node.mount, ns);
  }
}

Result<void> MountTable::attach(const Tree& tree, const Path& at, MntNamespace& ns,
                                Dropped* dropped) {
  Path place = topmost(at);
  if (place.mnt->mnt_ns_ != &ns) return Errno(EINVAL);
  if (place.inode().is_dir() != tree[0].mount->mnt_root().d_inode()->is_dir()) {
    return Errno(ENOTDIR);
  }
  // From here on whoever removes the name sees the mark.
  RefPtr<Dentry> known = place.dentry->d_sb().s_dcache.d_set_mounted(*place.dentry);
  if (!known) return Errno(ENOENT);
  place.dentry = known;
  // By the name that it is known by, something may be mounted there.
  place = topmost(std::move(place));
  Result<void> attached = attach_all(tree, place, ns, dropped);
  unmark(*known);
  return attached;
}

Result<void> MountTable::attach_all(const Tree& tree, const Path& place, MntNamespace& ns,
                                    Dropped* dropped) {
  std::vector<Mount*> unshared;
  size_t fresh = 0;
  for (const Node& node : tree) {
    if (node.mount->peer_group_ == 0) unshared.push_back(node.mount.get());
    if (node.mount->mnt_ns_ == nullptr) ++fresh;
  }
  if (mounts_.size() + fresh > kMountsMax) return Errno(ENOSPC);
  std::vector<Replica> replicas;
  const bool fits =
      propagate(tree, *place.mnt, *place.dentry, kMountsMax - mounts_.size() - fresh, &replicas);
  if (!fits) {
    for (Replica& replica : replicas) dropped->discard(std::move(replica.tree));
    // [cleanup_group_ids] A tree that was to be moved is what it was.
    for (Mount* mount : unshared) mount->peer_group_ = 0;
    return Errno(ENOSPC);
  }
  std::vector<MntNamespace*> changed{&ns};
  commit(tree, *place.mnt, *place.dentry, dropped);
  for (const Replica& replica : replicas) {
    if (!contains(changed, replica.parent->mnt_ns_)) changed.push_back(replica.parent->mnt_ns_);
    commit(replica.tree, *replica.parent, *place.dentry, dropped);
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
  for (const Mount* receiver : receivers(*place->parent, Groups(mounts_))) {
    const Mount* replica = child_at(*receiver, *place->mountpoint);
    if (replica == nullptr) continue;
    const Mount* over = topper(*replica);
    if (has_children(*replica, over)) continue;
    // The list's reference, and that of a mount that covers it.
    if (replica->ref_count() > (over != nullptr ? 2u : 1u)) return true;
  }
  return false;
}

// Copies elsewhere go along, unless something is mounted on them that stays. A mount that covers
// all of a copy takes its place: so it stays where it is seen, and what that place is on has to
// stay.
std::vector<Mount*> MountTable::propagate_umount(std::vector<Mount*> mounts) const {
  const Groups groups(mounts_);
  const size_t given = mounts.size();
  absl::flat_hash_set<const Mount*> going(mounts.begin(), mounts.end());
  for (size_t i = 0; i < given; ++i) {
    const Mount::Place* place = mounts[i]->place_rcu();
    if (place == nullptr) continue;
    for (const Mount* receiver : receivers(*place->parent, groups)) {
      Mount* replica = child_at(*receiver, *place->mountpoint);
      if (replica != nullptr && going.insert(replica).second) mounts.push_back(replica);
    }
  }
  const absl::flat_hash_set<const Mount*> asked_for(mounts.begin(),
                                                    mounts.begin() + static_cast<ptrdiff_t>(given));
  std::vector<const Mount*> staying;
  for (const Mount* mount : mounts) {
    for (const Mount* child : children(*mount)) {
      if (!going.contains(child)) staying.push_back(child);
    }
  }
  // What each of them is on: itself, or where it will be when what it covers has gone.
  while (!staying.empty()) {
    const Mount* at = staying.back();
    staying.pop_back();
    for (const Mount::Place* place = at->place_rcu(); place != nullptr; place = at->place_rcu()) {
      const Mount* parent = place->parent;
      if (!going.contains(parent)) break;
      if (topper(*parent) != at) {
        if (asked_for.contains(parent)) break;
        going.erase(parent);
        staying.push_back(parent);
        break;
      }
      at = parent;
    }
  }
  std::erase_if(mounts, [&](const Mount* mount) { return !going.contains(mount); });
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
  const absl::flat_hash_set<const Mount*> going(mounts.begin(), mounts.end());
  struct Move {
    Mount* mount;
    Ref<Mount> parent;
    Ref<Dentry> mountpoint;
  };
  std::vector<Move> uncovered;
  for (Mount* mount : mounts) {
    Mount* over = topper(*mount);
    if (over == nullptr || going.contains(over)) continue;
    const Mount::Place* place = mount->place_rcu();
    while (place != nullptr && going.contains(place->parent)) place = place->parent->place_rcu();
    if (place == nullptr) continue;
    uncovered.push_back({over, Ref<Mount>(*place->parent), Ref<Dentry>(*place->mountpoint)});
  }
  std::vector<MntNamespace*> changed;
  for (Mount* mount : mounts) {
    if (!contains(changed, mount->mnt_ns_)) changed.push_back(mount->mnt_ns_);
    take_out(*mount, dropped);
  }
  for (Move& move : uncovered) {
    set_place(*move.mount, std::move(move.parent), std::move(move.mountpoint), dropped);
  }
  publish(changed);
}

}  // namespace myfs::fs
