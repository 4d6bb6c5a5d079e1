// Look-up, attributes and changes of names.
#include <cassert>
#include <utility>

#include "sdk/fs/permission.h"
#include "sdk/mm/truncate.h"
#include "tests/support/ramfs/ramfs.h"

namespace myfs::fs {

LookupStep Ramfs::step_locked(const CallContext& ctx, Ref<Dentry>& parent, std::string_view name,
                              bool* more) {
  LookupStep step;
  *more = false;
  RamNode& dir = node_of(*parent->d_inode());
  step.error = generic_permission(*ctx.cred, Perm(dir.stat), MAY_EXEC);
  if (!step.error.ok()) return step;
  if (dir.stat.nlink == 0) {
    step.error = Errno(ENOENT);
    return step;
  }
  DirVersion version = version_locked(dir);
  auto entry = dir.entries.find(name);
  if (entry == dir.entries.end()) {
    step.dentry = sb_->s_dcache.d_learn(*parent, name, nullptr, version);
    step.error = Errno(ENOENT);
    return step;
  }
  Ref<Inode> inode = learn_locked(entry->second.node);
  step.dentry = sb_->s_dcache.d_learn(*parent, name, RefPtr<Inode>(inode), version);
  step.has_stat = true;
  step.stat = entry->second.node->stat;
  if (inode->i_mapping != nullptr) step.stat.size = inode->i_mapping->i_size.load();
  *more = inode->is_dir();
  return step;
}

Result<LookupChain> Ramfs::lookup(const CallContext& ctx, Dentry& dir,
                                  std::span<const std::string_view> names, LookupIntent) {
  ++calls.lookup;
  LookupChain chain;
  {
    MutexLock lock(mutex_);
    learn_locked(static_cast<RamInode&>(*dir.d_inode()).node);
    Ref<Dentry> parent(dir);
    for (std::string_view name : names) {
      bool more;
      chain.push_back(step_locked(ctx, parent, name, &more));
      if (!more || !options_.whole_paths) break;
      parent = chain.back().dentry.to_ref();
    }
  }
  answered();
  return chain;
}

Result<Kstat> Ramfs::getattr(const CallContext&, Inode& inode) {
  ++calls.getattr;
  Kstat stat;
  {
    MutexLock lock(mutex_);
    learn_locked(static_cast<RamInode&>(inode).node);
    stat = node_of(inode).stat;
    if (inode.i_mapping != nullptr) stat.size = inode.i_mapping->i_size.load();
  }
  answered();
  return stat;
}

void Ramfs::truncate(RamNode& node, uint64_t size) {
  {
    WriteLock lock(node.mapping->invalidate_lock);
    mm::truncate_setsize(*node.mapping, size);
  }
  MutexLock lock(mutex_);
  node.stat.size = size;
  changed_locked(node, true);
}

Result<void> Ramfs::setattr(const CallContext& ctx, Inode& inode, const Iattr& attr, File*) {
  ++calls.setattr;
  RamNode& node = node_of(inode);
  if ((attr.ia_valid & Iattr::kSize) != 0) truncate(node, attr.ia_size);
  MutexLock lock(mutex_);
  Kstat& stat = node.stat;
  const bool owner = ctx.cred->is_root() || ctx.cred->uid == stat.uid;
  if ((attr.ia_valid & (Iattr::kMode | Iattr::kUid | Iattr::kGid)) != 0 && !owner) {
    return Errno(EPERM);
  }
  if ((attr.ia_valid & Iattr::kMode) != 0) stat.mode = (stat.mode & S_IFMT) | attr.ia_mode;
  if ((attr.ia_valid & Iattr::kUid) != 0) stat.uid = attr.ia_uid;
  if ((attr.ia_valid & Iattr::kGid) != 0) stat.gid = attr.ia_gid;
  if ((attr.ia_valid & Iattr::kKillPriv) != 0) stat.mode &= ~uint32_t{S_ISUID | S_ISGID};
  changed_locked(node, false);
  if ((attr.ia_valid & Iattr::kAtime) != 0) {
    stat.atime = (attr.ia_valid & Iattr::kAtimeNow) != 0 ? stat.ctime : attr.ia_atime;
  }
  if ((attr.ia_valid & Iattr::kMtime) != 0) {
    stat.mtime = (attr.ia_valid & Iattr::kMtimeNow) != 0 ? stat.ctime : attr.ia_mtime;
  }
  learn_locked(static_cast<RamInode&>(inode).node);
  return ok_result();
}

Result<std::string> Ramfs::readlink(const CallContext&, Inode& inode) {
  MutexLock lock(mutex_);
  return node_of(inode).target;
}

Result<Ref<Dentry>> Ramfs::get_parent(const CallContext&, Dentry& dir) {
  ++calls.get_parent;
  MutexLock lock(mutex_);
  const std::shared_ptr<RamNode> node = static_cast<RamInode&>(*dir.d_inode()).node;
  if (node->stat.nlink == 0) return Errno(ENOENT);
  // Down from the root again, so that each dentry hangs on the next.
  std::vector<RamNode*> line;
  for (RamNode* at = node.get(); at != root_.get(); at = at->parent) line.push_back(at);
  Ref<Dentry> place(sb_->s_root());
  RamNode* parent = root_.get();
  learn_locked(root_);
  for (; !line.empty(); line.pop_back()) {
    for (const auto& [name, entry] : parent->entries) {
      if (entry.node.get() != line.back()) continue;
      DirVersion version = version_locked(*parent);
      Ref<Inode> inode = learn_locked(entry.node);
      place = sb_->s_dcache.d_learn(*place, name, RefPtr<Inode>(inode), version);
      break;
    }
    parent = line.back();
  }
  return place;
}

Result<CreateResult> Ramfs::create(const CallContext& ctx, Dentry& dir, std::string_view name,
                                   const CreateArgs& args) {
  ++calls.create;
  MutexLock lock(mutex_);
  RamNode& parent = node_of(*dir.d_inode());
  if (parent.stat.nlink == 0) return Errno(ENOENT);
  if (auto found = parent.entries.find(name); found != parent.entries.end()) {
    if (args.exclusive) return Errno(EEXIST);
    DirVersion version = version_locked(parent);
    Ref<Inode> inode = learn_locked(found->second.node);
    CreateResult result{.dentry = sb_->s_dcache.d_add(dir, name, RefPtr<Inode>(inode), version),
                        .stat = found->second.node->stat};
    result.has_stat = true;
    return result;
  }
  if (Errno error = may_create(*ctx.cred, Perm(parent.stat)); !error.ok()) return error;
  std::shared_ptr<RamNode> node = make_node(args.mode & ~args.umask, *ctx.cred);
  node->target = args.target;
  node->stat.rdev = args.rdev;
  node->stat.size = args.target.size();
  if ((parent.stat.mode & S_ISGID) != 0) {
    node->stat.gid = parent.stat.gid;
    if (S_ISDIR(args.mode)) node->stat.mode |= S_ISGID;
  }
  if (S_ISDIR(args.mode)) {
    node->parent = &parent;
    node->stat.nlink = 2;
    ++parent.stat.nlink;
  }
  parent.entries.emplace(std::string(name), RamNode::Entry{node, parent.next_cookie++});
  changed_locked(parent, true);
  learn_locked(static_cast<RamInode&>(*dir.d_inode()).node);
  Ref<Inode> inode = learn_locked(node);
  CreateResult result{
      .dentry = sb_->s_dcache.d_add(dir, name, RefPtr<Inode>(inode), version_locked(parent)),
      .stat = node->stat};
  result.created = result.has_stat = true;
  result.opened = args.file != nullptr && S_ISREG(args.mode);
  if (result.opened) ++calls.open;
  return result;
}

Result<void> Ramfs::link(const CallContext& ctx, Inode& inode, Dentry& dir, std::string_view name) {
  ++calls.link;
  MutexLock lock(mutex_);
  RamNode& parent = node_of(*dir.d_inode());
  const std::shared_ptr<RamNode> node = static_cast<RamInode&>(inode).node;
  if (parent.stat.nlink == 0 || node->stat.nlink == 0) return Errno(ENOENT);
  if (parent.entries.contains(name)) return Errno(EEXIST);
  if (Errno error = may_create(*ctx.cred, Perm(parent.stat)); !error.ok()) return error;
  if (node->stat.is_dir()) return Errno(EPERM);
  if (node->stat.nlink >= kLinkMax) return Errno(EMLINK);
  ++node->stat.nlink;
  changed_locked(*node, false);
  parent.entries.emplace(std::string(name), RamNode::Entry{node, parent.next_cookie++});
  changed_locked(parent, true);
  learn_locked(static_cast<RamInode&>(*dir.d_inode()).node);
  Ref<Inode> learned = learn_locked(node);
  sb_->s_dcache.d_add(dir, name, RefPtr<Inode>(learned), version_locked(parent));
  return ok_result();
}

Errno Ramfs::removable_locked(const CallContext& ctx, RamNode& dir, std::string_view name,
                              bool is_dir) {
  auto entry = dir.entries.find(name);
  if (entry == dir.entries.end()) return Errno(ENOENT);
  RamNode& victim = *entry->second.node;
  Errno error = may_delete(*ctx.cred, Perm(dir.stat), Perm(victim.stat), is_dir);
  if (!error.ok()) return error;
  return is_dir && !victim.entries.empty() ? Errno(ENOTEMPTY) : Errno();
}

void Ramfs::drop_locked(RamNode& dir,
                        std::map<std::string, RamNode::Entry, std::less<>>::iterator entry) {
  RamNode& victim = *entry->second.node;
  if (victim.stat.is_dir()) {
    victim.stat.nlink = 0;
    --dir.stat.nlink;
  } else {
    --victim.stat.nlink;
  }
  victim.deleted = victim.stat.nlink == 0;
  changed_locked(victim, false);
  dir.entries.erase(entry);
  changed_locked(dir, true);
}

Result<void> Ramfs::remove(const CallContext& ctx, Dentry& dir, std::string_view name,
                           bool is_dir) {
  ++calls.unlink;
  if (before_change) before_change();
  MutexLock lock(mutex_);
  RamNode& parent = node_of(*dir.d_inode());
  if (Errno error = removable_locked(ctx, parent, name, is_dir); !error.ok()) return error;
  auto entry = parent.entries.find(name);
  const std::shared_ptr<RamNode> victim = entry->second.node;
  drop_locked(parent, entry);
  learn_locked(static_cast<RamInode&>(*dir.d_inode()).node);
  const Ref<Inode> gone = learn_locked(victim);
  if (is_dir) gone->i_flags.fetch_or(Inode::kDead, std::memory_order_acq_rel);
  sb_->s_dcache.d_add(dir, name, nullptr, version_locked(parent));
  return ok_result();
}

Result<void> Ramfs::unlink(const CallContext& ctx, Dentry& dir, std::string_view name) {
  return remove(ctx, dir, name, false);
}

Result<void> Ramfs::rmdir(const CallContext& ctx, Dentry& dir, std::string_view name) {
  return remove(ctx, dir, name, true);
}

Errno Ramfs::move_locked(const CallContext& ctx, RamNode& from, std::string_view old_name,
                         RamNode& to, std::string_view new_name, uint32_t flags, bool* same) {
  *same = false;
  auto source = from.entries.find(old_name);
  if (source == from.entries.end()) return Errno(ENOENT);
  auto target = to.entries.find(new_name);
  const std::shared_ptr<RamNode> node = source->second.node;
  const bool exchange = (flags & 2) != 0, is_dir = node->stat.is_dir();
  if (target != to.entries.end() && (flags & 1) != 0) return Errno(EEXIST);
  if (target == to.entries.end() && exchange) return Errno(ENOENT);
  for (RamNode* at = &to; is_dir; at = at->parent) {
    if (at == node.get()) return Errno(EINVAL);
    if (at == root_.get()) break;
  }
  if (Errno error = may_delete(*ctx.cred, Perm(from.stat), Perm(node->stat), is_dir); !error.ok())
    return error;
  if (Errno error = may_create(*ctx.cred, Perm(to.stat)); !error.ok()) return error;
  if (target != to.entries.end() && target->second.node == node) {
    *same = true;
    return Errno();
  }
  if (target != to.entries.end() && !exchange) {
    if (Errno error = removable_locked(ctx, to, new_name, is_dir); !error.ok()) return error;
    drop_locked(to, target);
  }
  if (exchange) {
    std::swap(source->second.node, target->second.node);
    if (source->second.node->stat.is_dir()) source->second.node->parent = &from;
  } else {
    from.entries.erase(source);
    to.entries.emplace(std::string(new_name), RamNode::Entry{node, to.next_cookie++});
    if (is_dir) {
      --from.stat.nlink;
      ++to.stat.nlink;
    }
  }
  if (is_dir) node->parent = &to;
  changed_locked(*node, false);
  changed_locked(from, true);
  if (&from != &to) changed_locked(to, true);
  return Errno();
}

Result<void> Ramfs::rename(const CallContext& ctx, Dentry& old_dir, std::string_view old_name,
                           Dentry& new_dir, std::string_view new_name, uint32_t flags) {
  ++calls.rename;
  if (before_change) before_change();
  MutexLock lock(mutex_);
  RamNode& from = node_of(*old_dir.d_inode());
  RamNode& to = node_of(*new_dir.d_inode());
  auto old_target = to.entries.find(new_name);
  const std::shared_ptr<RamNode> replaced =
      old_target == to.entries.end() ? nullptr : old_target->second.node;
  bool same;
  Errno error = move_locked(ctx, from, old_name, to, new_name, flags, &same);
  if (!error.ok() || same) return error;
  learn_locked(static_cast<RamInode&>(*old_dir.d_inode()).node);
  learn_locked(static_cast<RamInode&>(*new_dir.d_inode()).node);
  const Ref<Inode> moved = learn_locked(to.entries.find(new_name)->second.node);
  RefPtr<Inode> other;
  if (replaced != nullptr) other = learn_locked(replaced);
  if ((flags & 2) != 0) {
    sb_->s_dcache.d_exchange(old_dir, old_name, version_locked(from), new_dir, new_name,
                             version_locked(to), moved.get(), other.get());
  } else {
    if (other && other->is_dir()) other->i_flags.fetch_or(Inode::kDead, std::memory_order_acq_rel);
    sb_->s_dcache.d_move(old_dir, old_name, version_locked(from), new_dir, new_name,
                         version_locked(to), moved.get());
  }
  return ok_result();
}

Result<std::string> Ramfs::getxattr(const CallContext&, Inode& inode, std::string_view name) {
  MutexLock lock(mutex_);
  RamNode& node = node_of(inode);
  auto found = node.xattrs.find(name);
  if (found == node.xattrs.end()) return Errno(ENODATA);
  return found->second;
}

Result<std::vector<std::string>> Ramfs::listxattr(const CallContext&, Inode& inode) {
  MutexLock lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, value] : node_of(inode).xattrs) names.push_back(name);
  return names;
}

Result<void> Ramfs::setxattr(const CallContext&, Inode& inode, std::string_view name,
                             std::string_view value, uint32_t flags) {
  MutexLock lock(mutex_);
  RamNode& node = node_of(inode);
  const bool exists = node.xattrs.contains(name);
  if (exists && (flags & 1) != 0) return Errno(EEXIST);
  if (!exists && (flags & 2) != 0) return Errno(ENODATA);
  node.xattrs[std::string(name)] = value;
  changed_locked(node, false);
  learn_locked(static_cast<RamInode&>(inode).node);
  return ok_result();
}

Result<void> Ramfs::removexattr(const CallContext&, Inode& inode, std::string_view name) {
  MutexLock lock(mutex_);
  RamNode& node = node_of(inode);
  auto found = node.xattrs.find(name);
  if (found == node.xattrs.end()) return Errno(ENODATA);
  node.xattrs.erase(found);
  changed_locked(node, false);
  learn_locked(static_cast<RamInode&>(inode).node);
  return ok_result();
}

}  // namespace myfs::fs
