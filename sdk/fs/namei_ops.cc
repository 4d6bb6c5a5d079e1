#include "sdk/fs/namei_ops.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "sdk/base/rcu.h"
#include "sdk/fs/name_hash.h"
#include "sdk/fs/permission.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

namespace {

constexpr uint32_t kNoReplace = 1, kExchange = 2;  // RENAME_*
constexpr uint32_t kModeMask = 07777;

bool is_dead(const Inode& dir) {
  return (dir.i_flags.load(std::memory_order_acquire) & Inode::kDead) != 0;
}

// Early answers from true attributes; Errno{} if they are not known.
Errno early_may_create(const CallContext& ctx, const Inode& dir) {
  return permission_hit(*ctx.cred, dir, MAY_WRITE | MAY_EXEC).value_or(Errno());
}

Errno early_may_delete(const CallContext& ctx, const Inode& dir, const Inode& victim, bool rmdir) {
  RcuReadGuard guard;
  Perm dir_perm, perm;
  const bool known =
      dir.perm_hit(&dir_perm) && victim.perm_hit(&perm) && dir.i_sb().s_validity.alive();
  return known ? may_delete(*Acting(*ctx.cred, dir.i_sb()), dir_perm, perm, rmdir) : Errno();
}

// For a path with a slash at its end: what the name is.
Result<Ref<Dentry>> child_of(const CallContext& ctx, TaskStruct& task, const WalkResult& parent) {
  int links = 0;
  MYFS_ASSIGN(WalkResult child, path_lookup_from(ctx, task, parent.path, parent.last, 0,
                                                 LookupIntent::kWalk, &links));
  return std::move(child.path.dentry).to_ref();
}

// Of a name that cannot be made: EEXIST if it is there, which comes first.
Errno refuse_name(const CallContext& ctx, TaskStruct& task, const WalkResult& parent) {
  Result<Ref<Dentry>> found = child_of(ctx, task, parent);
  return found.ok() ? Errno(EEXIST) : found.error();
}

// Creates a name that must not exist [filename_create + vfs_mkdir, vfs_mknod, ...].
Result<CreateResult> create_new(const CallContext& ctx, TaskStruct& task, const WalkResult& parent,
                                const CreateArgs& args) {
  if (parent.last_type != LastType::kNorm) return Errno(EEXIST);
  Inode& dir = parent.path.inode();
  RefPtr<Dentry> child;
  Errno error;
  WalkOutcome known = cached_child(ctx, task, parent.path, parent.last, &child, &error);
  if (known == WalkOutcome::kHit) return Errno(EEXIST);
  if (known == WalkOutcome::kError && error != Errno(ENOENT)) return error;
  if (parent.trailing_slash && !S_ISDIR(args.mode)) return refuse_name(ctx, task, parent);
  MYFS_ASSIGN(const WantWrite writing, WantWrite::get(ctx, parent.path));
  if (error = may_own(*ctx.cred, dir.i_sb()); !error.ok()) return error;
  if (error = early_may_create(ctx, dir); !error.ok()) return error;
  WriteLock lock(dir.i_rwsem);
  if (is_dead(dir)) return Errno(ENOENT);
  ChangeInFlight change({{parent.path.dentry.get(), parent.last}});
  return dir.i_op().create(change.context(ctx), *parent.path.dentry, parent.last, args);
}

// What this client knows under the name, if something is mounted on it in some name space.
RefPtr<Dentry> mounted_child(const WalkResult& parent) {
  RcuReadGuard guard;
  const DentryPosition* pos = parent.path.dentry->d_sb().s_dcache.d_lookup_rcu(
      parent.path.inode(), parent.last, d_hash_name(parent.last));
  const bool mounted = pos != nullptr && (pos->dentry->flags() & Dentry::kMounted) != 0;
  return mounted ? RefPtr<Dentry>::try_from(pos->dentry) : nullptr;
}

// Nothing is mounted on the name in this name space, whether or not the cache knows what it is now.
Result<void> check_not_mounted(const CallContext& ctx, TaskStruct& task, const WalkResult& parent,
                               const RefPtr<Dentry>& child) {
  if (child) return task.nsproxy->is_mountpoint(*child) ? Errno(EBUSY) : Errno();
  const RefPtr<Dentry> mounted = mounted_child(parent);
  if (!mounted || !task.nsproxy->is_mountpoint(*mounted)) return ok_result();
  int links = 0;
  Result<WalkResult> found =
      path_lookup_from(ctx, task, parent.path, parent.last, 0, LookupIntent::kWalk, &links);
  if (!found.ok()) return ok_result();  // the change itself says why
  const bool covered =
      found->path.mnt != parent.path.mnt || task.nsproxy->is_mountpoint(*found->path.dentry);
  return covered ? Errno(EBUSY) : Errno();
}

Result<void> remove_name(const CallContext& ctx, TaskStruct& task, const WalkResult& parent,
                         bool rmdir) {
  MYFS_ASSIGN(const WantWrite writing, WantWrite::get(ctx, parent.path));
  Inode& dir = parent.path.inode();
  RefPtr<Dentry> child;
  Errno error;
  WalkOutcome known = cached_child(ctx, task, parent.path, parent.last, &child, &error);
  if (known == WalkOutcome::kError) return error;
  if (known == WalkOutcome::kHit) {
    Inode& victim = *child->d_inode();
    error = early_may_delete(ctx, dir, victim, rmdir);
    if (!error.ok()) return error;
    if (rmdir && !victim.is_dir()) return Errno(ENOTDIR);
    if (!rmdir && victim.is_dir()) return Errno(EISDIR);
  }
  MYFS_TRY(check_not_mounted(ctx, task, parent, child));
  child = nullptr;
  {
    WriteLock lock(dir.i_rwsem);
    if (is_dead(dir)) return Errno(ENOENT);
    ChangeInFlight change({{parent.path.dentry.get(), parent.last}});
    const CallContext with = change.context(ctx);
    InodeOps& op = dir.i_op();
    MYFS_TRY(rmdir ? op.rmdir(with, *parent.path.dentry, parent.last)
                   : op.unlink(with, *parent.path.dentry, parent.last));
  }
  task.nsproxy->detach_lost(dir.i_sb());  // what was mounted there elsewhere, or is just now
  return ok_result();
}

// A descriptor that somebody else opened is no proof that its file could be reached.
Result<void> may_link_descriptor(const CallContext& ctx, const TaskStruct& task, int fd) {
  RefPtr<File> file = task.files.fget(fd);
  if (!file) return ok_result();
  const SuperBlock& sb = file->f_path().dentry->d_sb();
  const Acting acting(*ctx.cred, sb);
  const bool own = acting->is_root() || *Acting(*file->f_cred, sb) == *acting;
  return own ? Errno() : Errno(ENOENT);
}

// The parents of a rename [lock_rename].
class RenameLock {
 public:
  RenameLock(Dentry& a, Dentry& b) ABSL_NO_THREAD_SAFETY_ANALYSIS : sb_(a.d_sb()) {
    Inode* first = a.d_inode();
    Inode* second = b.d_inode();
    if (first == second) {
      first->i_rwsem.lock();
      first_ = first;
      return;
    }
    sb_.s_rename_mutex.lock();
    const bool swap = !is_subdir(b, a) && (is_subdir(a, b) || second->i_ino < first->i_ino);
    if (swap) std::swap(first, second);
    first->i_rwsem.lock();
    second->i_rwsem.lock_nested();
    first_ = first;
    second_ = second;
  }
  ~RenameLock() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (second_ != nullptr) second_->i_rwsem.unlock();
    first_->i_rwsem.unlock();
    if (second_ != nullptr) sb_.s_rename_mutex.unlock();
  }
  RenameLock(const RenameLock&) = delete;
  RenameLock& operator=(const RenameLock&) = delete;

 private:
  SuperBlock& sb_;
  Inode* first_ = nullptr;
  Inode* second_ = nullptr;
};

// A slash at the end is for directories; `target` null: nothing is there.
Result<void> check_slashes(const WalkResult& from, const WalkResult& to, const Dentry& source,
                           const Dentry* target, uint32_t flags) {
  const bool exchange = (flags & kExchange) != 0;
  auto is_dir = [](const Dentry* dentry) {
    return dentry != nullptr && dentry->d_inode()->is_dir();
  };
  if (exchange && to.trailing_slash && !is_dir(target)) return Errno(ENOTDIR);
  const bool wants_dir = from.trailing_slash || (to.trailing_slash && !exchange);
  return wants_dir && !is_dir(&source) ? Errno(ENOTDIR) : Errno();
}

// What can be said before the server is asked.
Result<void> check_rename(const CallContext& ctx, TaskStruct& task, const WalkResult& from,
                          const WalkResult& to, uint32_t flags) {
  RefPtr<Dentry> source, target;
  Errno error;
  WalkOutcome known = cached_child(ctx, task, from.path, from.last, &source, &error);
  if (known == WalkOutcome::kError) return error;
  const bool slashes = from.trailing_slash || to.trailing_slash;
  if (slashes && !source) {
    MYFS_ASSIGN(source, child_of(ctx, task, from));
  }
  known = cached_child(ctx, task, to.path, to.last, &target, &error);
  if (slashes && known == WalkOutcome::kMiss) {
    Result<Ref<Dentry>> found = child_of(ctx, task, to);
    error = found.error();
    known = found.ok() ? WalkOutcome::kHit : WalkOutcome::kError;
    if (found.ok()) target = std::move(found).value();
  }
  if (known == WalkOutcome::kError && error != Errno(ENOENT)) return error;
  if (known == WalkOutcome::kError && (flags & kExchange) != 0) return Errno(ENOENT);
  // That nothing is there to rename comes first.
  if (source && target && (flags & kNoReplace) != 0) return Errno(EEXIST);
  if (slashes) MYFS_TRY(check_slashes(from, to, *source, target.get(), flags));
  MYFS_TRY(check_not_mounted(ctx, task, from, source));
  MYFS_TRY(check_not_mounted(ctx, task, to, target));
  if (source) {
    const bool is_dir = source->d_inode()->is_dir();
    error = early_may_delete(ctx, from.path.inode(), *source->d_inode(), is_dir);
    if (!error.ok()) return error;
  }
  return early_may_create(ctx, to.path.inode());
}

}  // namespace

class ChangeInFlight::State final : public PendingChange {
 public:
  ~State() override { release(); }
  void raise(Inode& inode, uint64_t weight) {
    assert(inode_count_ < kInodesMax);
    inode.i_changing.fetch_add(weight, std::memory_order_acq_rel);
    weights_[inode_count_] = weight;
    inodes_[inode_count_++] = RefPtr<Inode>(Ref<Inode>(inode));
  }
  void add_name(RefPtr<Dentry> found) {
    if (found && !found->is_negative()) raise(*found->d_inode(), Inode::kChanging);
    dentries_[name_count_++] = std::move(found);
  }

  void settled() override {
    for (size_t i = 0; i < inode_count_; ++i) inodes_[i]->i_sb().s_op().forget(*inodes_[i]);
    release();
  }
  bool covers(uint64_t ino) const override {
    return std::any_of(inodes_, inodes_ + inode_count_,
                       [&](const RefPtr<Inode>& inode) { return inode->i_ino == ino; });
  }
  // Once, by whom the change is left to.
  void release() {
    for (RefPtr<Dentry>& dentry : dentries_) {
      if (dentry) dentry->clear_flags(Dentry::kBusy);
      dentry = nullptr;
    }
    const size_t count = std::exchange(inode_count_, 0);
    for (size_t i = 0; i < count; ++i) {
      inodes_[i]->i_changing.fetch_sub(weights_[i], std::memory_order_acq_rel);
      inodes_[i] = nullptr;
    }
  }

 private:
  static constexpr size_t kNamesMax = 2, kInodesMax = 8;
  RefPtr<Dentry> dentries_[kNamesMax];
  size_t name_count_ = 0;
  RefPtr<Inode> inodes_[kInodesMax];
  uint64_t weights_[kInodesMax];
  size_t inode_count_ = 0;
};

ChangeInFlight::ChangeInFlight(std::initializer_list<Name> names,
                               std::initializer_list<Inode*> inodes, uint64_t weight)
    : state_(make_ref<State>()) {
  for (const Name& name : names) {
    state_->raise(*name.dir->d_inode(), Inode::kChanging);
    name.dir->d_inode()->drop_listing();
  }
  for (const Name& name : names) {
    state_->add_name(name.dir->d_sb().s_dcache.d_mark_busy(*name.dir->d_inode(), name.name));
  }
  for (Inode* inode : inodes) state_->raise(*inode, weight);
}

ChangeInFlight::~ChangeInFlight() {
  if (!state_->given_up()) state_->release();
}

CallContext ChangeInFlight::context(const CallContext& ctx) const {
  CallContext with = ctx;
  with.change = state_.get();
  return with;
}

Result<CreateResult> vfs_create(const CallContext& ctx, TaskStruct& task, At at,
                                const CreateArgs& args, Path* place) {
  MYFS_ASSIGN(const WalkResult parent, path_lookup(ctx, task, at, LOOKUP_PARENT));
  MYFS_ASSIGN(CreateResult made, create_new(ctx, task, parent, args));
  *place = Path{parent.path.mnt, made.dentry};
  return made;
}

Result<void> vfs_mkdir(const CallContext& ctx, TaskStruct& task, At at, uint32_t mode) {
  MYFS_ASSIGN(WalkResult parent, path_lookup(ctx, task, at, LOOKUP_PARENT));
  CreateArgs args;
  args.mode = S_IFDIR | (mode & 01777);
  args.umask = task.fs.umask();
  MYFS_TRY(create_new(ctx, task, parent, args));
  return ok_result();
}

Result<void> vfs_mknod(const CallContext& ctx, TaskStruct& task, At at, uint32_t mode,
                       uint64_t rdev) {
  uint32_t type = (mode & S_IFMT) == 0 ? uint32_t{S_IFREG} : mode & S_IFMT;
  if (type == S_IFDIR) return Errno(EPERM);
  const bool device = type == S_IFCHR || type == S_IFBLK;
  if (!device && type != S_IFREG && type != S_IFIFO && type != S_IFSOCK) return Errno(EINVAL);
  MYFS_ASSIGN(WalkResult parent, path_lookup(ctx, task, at, LOOKUP_PARENT));
  if (device && !Acting(*ctx.cred, parent.path.inode().i_sb())->is_root()) return Errno(EPERM);
  CreateArgs args;
  args.mode = type | (mode & kModeMask);
  args.umask = task.fs.umask();
  args.rdev = device ? rdev : 0;
  MYFS_TRY(create_new(ctx, task, parent, args));
  return ok_result();
}

Result<void> vfs_symlink(const CallContext& ctx, TaskStruct& task, std::string_view target, At at) {
  if (target.empty()) return Errno(ENOENT);
  if (target.size() > kSymlinkMax_bytes) return Errno(ENAMETOOLONG);
  MYFS_ASSIGN(WalkResult parent, path_lookup(ctx, task, at, LOOKUP_PARENT));
  CreateArgs args;
  args.mode = S_IFLNK | 0777;
  args.target = target;
  MYFS_TRY(create_new(ctx, task, parent, args));
  return ok_result();
}

Result<void> vfs_link(const CallContext& ctx, TaskStruct& task, At from, At to, int flags) {
  if ((flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) != 0) return Errno(EINVAL);
  const uint32_t lookup = ((flags & AT_SYMLINK_FOLLOW) != 0 ? uint32_t{LOOKUP_FOLLOW} : 0) |
                          ((flags & AT_EMPTY_PATH) != 0 ? uint32_t{LOOKUP_EMPTY} : 0);
  if (from.path.empty()) MYFS_TRY(may_link_descriptor(ctx, task, from.dfd));
  MYFS_ASSIGN(WalkResult old, path_lookup(ctx, task, from, lookup));
  MYFS_ASSIGN(WalkResult parent, path_lookup(ctx, task, to, LOOKUP_PARENT));
  Inode& inode = old.path.inode();
  Inode& dir = parent.path.inode();
  if (parent.last_type != LastType::kNorm) return Errno(EEXIST);
  RefPtr<Dentry> child;
  Errno error;
  WalkOutcome known = cached_child(ctx, task, parent.path, parent.last, &child, &error);
  if (known == WalkOutcome::kHit) return Errno(EEXIST);
  if (known == WalkOutcome::kError && error != Errno(ENOENT)) return error;
  if (parent.trailing_slash) return refuse_name(ctx, task, parent);
  MYFS_ASSIGN(const WantWrite writing, WantWrite::get(ctx, parent.path));
  if (old.path.mnt != parent.path.mnt) return Errno(EXDEV);
  if (error = early_may_create(ctx, dir); !error.ok()) return error;
  WriteLock lock(dir.i_rwsem);
  if (is_dead(dir)) return Errno(ENOENT);
  // What is wrong with the place comes first, and without its names only the file system knows.
  if (inode.is_dir() && known != WalkOutcome::kMiss) return Errno(EPERM);
  ChangeInFlight change({{parent.path.dentry.get(), parent.last}}, {&inode});
  return dir.i_op().link(change.context(ctx), inode, *parent.path.dentry, parent.last);
}

Result<void> vfs_unlink(const CallContext& ctx, TaskStruct& task, At at) {
  MYFS_ASSIGN(WalkResult parent, path_lookup(ctx, task, at, LOOKUP_PARENT));
  if (parent.last_type != LastType::kNorm) return Errno(EISDIR);
  if (parent.trailing_slash) {
    MYFS_ASSIGN(Ref<Dentry> child, child_of(ctx, task, parent));
    return Errno(child->d_inode()->is_dir() ? EISDIR : ENOTDIR);
  }
  return remove_name(ctx, task, parent, false);
}

Result<void> vfs_rmdir(const CallContext& ctx, TaskStruct& task, At at) {
  MYFS_ASSIGN(WalkResult parent, path_lookup(ctx, task, at, LOOKUP_PARENT));
  switch (parent.last_type) {
    case LastType::kDotDot:
      return Errno(ENOTEMPTY);
    case LastType::kDot:
      return Errno(EINVAL);
    case LastType::kRoot:
      return Errno(EBUSY);
    case LastType::kNorm:
      break;
  }
  return remove_name(ctx, task, parent, true);
}

Result<void> vfs_rename(const CallContext& ctx, TaskStruct& task, At from_at, At to_at,
                        uint32_t flags) {
  if ((flags & ~(kNoReplace | kExchange)) != 0 || flags == (kNoReplace | kExchange)) {
    return Errno(EINVAL);
  }
  MYFS_ASSIGN(WalkResult from, path_lookup(ctx, task, from_at, LOOKUP_PARENT));
  MYFS_ASSIGN(WalkResult to, path_lookup(ctx, task, to_at, LOOKUP_PARENT));
  if (from.path.mnt != to.path.mnt) return Errno(EXDEV);
  if (from.last_type != LastType::kNorm) return Errno(EBUSY);
  if (to.last_type != LastType::kNorm) return Errno((flags & kNoReplace) != 0 ? EEXIST : EBUSY);
  MYFS_ASSIGN(const WantWrite writing, WantWrite::get(ctx, from.path));
  MYFS_TRY(check_rename(ctx, task, from, to, flags));
  Dentry& old_dir = *from.path.dentry;
  Dentry& new_dir = *to.path.dentry;
  {
    RenameLock lock(old_dir, new_dir);
    if (is_dead(*old_dir.d_inode()) || is_dead(*new_dir.d_inode())) return Errno(ENOENT);
    ChangeInFlight change({{&old_dir, from.last}, {&new_dir, to.last}});
    MYFS_TRY(old_dir.d_inode()->i_op().rename(change.context(ctx), old_dir, from.last, new_dir,
                                              to.last, flags));
  }
  task.nsproxy->detach_lost(new_dir.d_sb());
  return ok_result();
}

Result<std::string> vfs_readlink(const CallContext& ctx, TaskStruct& task, At at) {
  MYFS_ASSIGN(WalkResult found, path_lookup(ctx, task, at, LOOKUP_EMPTY));
  Inode& inode = found.path.inode();
  if (!inode.is_symlink()) return Errno(at.path.empty() ? ENOENT : EINVAL);
  if (const std::string* target = inode.i_link(); target != nullptr) return *target;
  MYFS_ASSIGN(std::string target, inode.i_op().readlink(ctx, inode));
  inode.set_link(target);
  return target;
}

}  // namespace myfs::fs
