#include "sdk/fs/open.h"

#include <fcntl.h>

#include <optional>
#include <utility>

#include "sdk/base/nowait.h"
#include "sdk/base/rcu.h"
#include "sdk/fs/locks.h"
#include "sdk/fs/mmap.h"
#include "sdk/fs/namei_ops.h"
#include "sdk/fs/permission.h"
#include "sdk/fs/stat.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

namespace {

// What open() was asked for, taken apart [struct open_flags].
struct OpenFlags {
  uint32_t flags;
  uint32_t mode, umask;
  uint32_t access;   // MAY_*
  uint32_t lookup;   // of the last component, with `resolve`
  uint32_t resolve;  // of all components
  bool cached;       // [LOOKUP_CACHED]
  LookupIntent intent;
};

constexpr uint32_t kTmpfile = O_TMPFILE & ~O_DIRECTORY;
constexpr uint32_t kFileModeBits = 07777;
constexpr uint32_t kPathFlags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr uint32_t kOpenFlags = O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND |
                                O_NONBLOCK | O_SYNC | O_ASYNC | O_DIRECT | O_DIRECTORY |
                                O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | kTmpfile |
                                0100000;  // O_LARGEFILE, which 64-bit headers give as 0
constexpr uint64_t kResolveAll = kResolveNoXdev | kResolveNoMagiclinks | kResolveNoSymlinks |
                                 kResolveBeneath | kResolveInRoot | kResolveCached;

bool will_create(uint64_t flags) { return (flags & (O_CREAT | kTmpfile)) != 0; }

// What open(2) makes of its arguments, which never were checked.
OpenHow build_open_how(uint32_t flags, uint32_t mode) {
  flags &= (flags & O_PATH) != 0 ? kPathFlags : kOpenFlags;
  return {.flags = flags, .mode = will_create(flags) ? mode & kFileModeBits : 0};
}

Errno check_open_how(const OpenHow& how) {
  constexpr uint64_t kScopes = kResolveBeneath | kResolveInRoot;
  if ((how.flags & ~uint64_t{kOpenFlags}) != 0 || (how.resolve & ~kResolveAll) != 0 ||
      (how.resolve & kScopes) == kScopes) {
    return Errno(EINVAL);
  }
  if ((how.mode & ~uint64_t{kFileModeBits}) != 0) return Errno(EINVAL);
  if (!will_create(how.flags) && how.mode != 0) return Errno(EINVAL);
  if ((how.flags & kTmpfile) != 0) {
    const bool complete = (how.flags & (O_TMPFILE | O_CREAT)) == uint64_t{O_TMPFILE};
    if (!complete || (how.flags & O_ACCMODE) == O_RDONLY) return Errno(EINVAL);
  } else if ((how.flags & O_CREAT) != 0 && (how.flags & O_DIRECTORY) != 0) {
    return Errno(EINVAL);
  }
  const bool changes = (how.flags & (O_TRUNC | O_CREAT | kTmpfile)) != 0;
  if ((how.resolve & kResolveCached) != 0 && changes) return Errno(EAGAIN);
  const bool path = (how.flags & O_PATH) != 0;
  return path && (how.flags & ~uint64_t{kPathFlags}) != 0 ? Errno(EINVAL) : Errno();
}

uint32_t lookup_flags_of(uint64_t resolve) {
  return ((resolve & kResolveNoXdev) != 0 ? uint32_t{LOOKUP_NO_XDEV} : 0) |
         ((resolve & kResolveNoSymlinks) != 0 ? uint32_t{LOOKUP_NO_SYMLINKS} : 0) |
         ((resolve & kResolveBeneath) != 0 ? uint32_t{LOOKUP_BENEATH} : 0) |
         ((resolve & kResolveInRoot) != 0 ? uint32_t{LOOKUP_IN_ROOT} : 0);
}

// [build_open_flags]
Result<OpenFlags> build_open_flags(const OpenHow& asked, uint32_t umask) {
  if (Errno error = check_open_how(asked); !error.ok()) return error;
  OpenFlags how{};
  const auto flags = static_cast<uint32_t>(asked.flags);
  switch (flags & O_ACCMODE) {
    case O_RDONLY:
      how.access = (flags & O_PATH) != 0 ? 0 : MAY_READ;
      break;
    case O_WRONLY:
      how.access = MAY_WRITE;
      break;
    default:  // access mode 3, too, with which nothing is read or written
      how.access = MAY_READ | MAY_WRITE;
  }
  if ((flags & O_TRUNC) != 0) how.access |= MAY_WRITE;
  how.flags = flags;
  how.mode = S_IFREG | static_cast<uint32_t>(asked.mode);
  how.umask = umask;
  how.resolve = lookup_flags_of(asked.resolve);
  how.cached = (asked.resolve & kResolveCached) != 0;
  how.lookup = how.resolve | ((flags & O_NOFOLLOW) == 0 ? uint32_t{LOOKUP_FOLLOW} : 0) |
               ((flags & O_DIRECTORY) != 0 ? uint32_t{LOOKUP_DIRECTORY} : 0);
  how.intent = (flags & O_PATH) != 0           ? LookupIntent::kOpenPath
               : (how.access & MAY_WRITE) != 0 ? LookupIntent::kOpenWrite
                                               : LookupIntent::kOpenRead;
  return how;
}

// The root of a walk that may not leave it; empty: the task's.
Result<Path> scope_of(const CallContext& ctx, const TaskStruct& task, At at, const OpenFlags& how) {
  if ((how.resolve & LOOKUP_IS_SCOPED) == 0) return Path();
  MYFS_ASSIGN(WalkResult found,
              path_lookup(ctx, task, At{at.dfd, {}, at.start}, LOOKUP_EMPTY | LOOKUP_DIRECTORY));
  return std::move(found.path);
}

Result<WalkResult> lookup_in(const CallContext& ctx, const TaskStruct& task, const Path& scope,
                             At at, uint32_t flags, LookupIntent intent) {
  if (!scope) return path_lookup(ctx, task, at, flags, intent);
  if ((flags & LOOKUP_BENEATH) != 0 && at.path.starts_with('/')) return Errno(EXDEV);
  int links = 0;
  return path_lookup_from(ctx, task, scope, at.path, flags, intent, &links, &scope);
}

bool is_read_only(const Path& path) {
  return path.mnt->is_read_only() || path.dentry->d_sb().is_read_only();
}

// The walk of an open that finds what there is.
Result<WalkResult> lookup_existing(const CallContext& ctx, const TaskStruct& task,
                                   const Path& scope, At at, const OpenFlags& how) {
  std::optional<NoWaitScope> cached_only;
  // Whoever tries a whole call without waiting has said so already.
  if (how.cached && !must_not_wait()) cached_only.emplace();
  return lookup_in(ctx, task, scope, at, how.lookup, how.intent);
}

// [may_open] `*permitted`: the permission was checked on true attributes; else the file system
// must.
Result<void> may_open(const CallContext& ctx, const Path& path, const OpenFlags& how,
                      const Kstat* stat, bool* permitted) {
  Inode& inode = path.inode();
  *permitted = false;
  if (inode.is_symlink()) return Errno(ELOOP);
  if (inode.is_dir() && (how.access & MAY_WRITE) != 0) return Errno(EISDIR);
  if ((how.flags & kOpenExec) != 0 && !inode.is_regular()) return Errno(EACCES);
  // Devices, pipes and sockets live in a kernel; here they are names only.
  if (!inode.is_dir() && !inode.is_regular()) return Errno(ENXIO);
  if ((how.access & MAY_WRITE) != 0 && is_read_only(path)) return Errno(EROFS);
  const Acting acting(*ctx.cred, inode.i_sb());
  const bool owners_only = (how.flags & O_NOATIME) != 0 && !acting->is_root();
  {
    RcuReadGuard guard;
    Perm perm;
    bool known = stat != nullptr && !stat->has_acl;
    if (known) {
      perm = Perm(*stat);
    } else {
      known = inode.attr_young() && inode.perm_hit(&perm) && inode.i_sb().s_validity.alive();
    }
    if (known) {
      if (Errno error = generic_permission(*acting, perm, how.access); !error.ok()) return error;
      if (owners_only && acting->uid != perm.uid) return Errno(EPERM);
      *permitted = true;
      return ok_result();
    }
  }
  if (!owners_only) return ok_result();
  MYFS_ASSIGN(const Kstat fresh, inode.i_op().getattr(ctx, inode));
  if (fresh.uid == acting->uid) return ok_result();
  MYFS_TRY(inode_permission(ctx, inode, how.access));
  return Errno(EPERM);
}

Result<void> break_lease(const CallContext& ctx, Inode& inode, uint64_t open_id, bool writes,
                         uint32_t flags) {
  return inode.i_fop().break_lease(ctx, inode, open_id, writes, (flags & O_NONBLOCK) == 0);
}

Result<Ref<File>> open_path(const CallContext& ctx, Path path, const OpenFlags& how,
                            const Kstat* stat) {
  Inode& inode = path.inode();
  if ((how.flags & O_PATH) != 0) {
    Ref<File> place = File::create(std::move(path), how.flags, ctx.cred);
    MYFS_TRY(inode.i_fop().open_path(ctx, inode, *place));
    return place;
  }
  bool permitted;
  MYFS_TRY(may_open(ctx, path, how, stat, &permitted));
  std::optional<WantWrite> truncating;
  if ((how.flags & O_TRUNC) != 0) {
    MYFS_ASSIGN(truncating, WantWrite::get(ctx, path));
    if (inode.is_regular()) MYFS_TRY(break_lease(ctx, inode, 0, true, how.flags));
  }
  Ref<File> file = File::create(std::move(path), how.flags, ctx.cred);
  MYFS_TRY(Result<void>(file->get_write_access()));
  MYFS_TRY(inode.i_fop().open(ctx, inode, *file, permitted));
  file->f_mode |= File::kOpened;
  return file;
}

// open(O_CREAT): one object per call, since symbolic links lead it from directory to directory.
class CreatingOpen {
 public:
  CreatingOpen(const CallContext& ctx, TaskStruct& task, const OpenFlags& how, const Path& scope)
      : ctx_(ctx), task_(task), how_(how), scope_(scope) {}

  Result<Ref<File>> run(At at) {
    MYFS_ASSIGN(parent_, lookup_in(ctx_, task_, scope_, at, how_.resolve | LOOKUP_PARENT,
                                   LookupIntent::kWalk));
    while (true) {
      const bool exclusive = (how_.flags & O_EXCL) != 0;
      if (parent_.last_type != LastType::kNorm) return Errno(exclusive ? EEXIST : EISDIR);
      if (parent_.trailing_slash) return Errno(EISDIR);
      RefPtr<Dentry> child;
      Errno error;
      WalkOutcome known = cached_child(ctx_, task_, parent_.path, parent_.last, &child, &error);
      if (known == WalkOutcome::kError && error != Errno(ENOENT)) return error;
      RefPtr<File> file;
      const Kstat* stat = nullptr;
      CreateResult created{.dentry = Ref<Dentry>(*parent_.path.dentry), .stat = {}};
      if (known != WalkOutcome::kHit) {
        MYFS_ASSIGN(created, find_or_create(&file));
        if (file && created.opened) return std::move(file).to_ref();
        child = created.dentry;
        if (created.has_stat) stat = &created.stat;
      }
      if (!created.created && exclusive) return Errno(EEXIST);
      if (!child->d_inode()->is_symlink()) return open_child(std::move(child), stat, created);
      if ((how_.flags & O_NOFOLLOW) != 0) return Errno(ELOOP);
      MYFS_TRY(follow(*child->d_inode()));
    }
  }

 private:
  Result<CreateResult> find_or_create(RefPtr<File>* file) {
    Result<WantWrite> writing = WantWrite::get(ctx_, parent_.path);
    if (!writing.ok()) return writing.error() == Errno(EROFS) ? find(EROFS) : writing.error();
    SuperBlock& sb = parent_.path.dentry->d_sb();
    // What exists may be opened all the same.
    const Errno owner = may_own(*ctx_.cred, sb);
    if (!owner.ok()) return find(owner.value());
    const Acting acting(*ctx_.cred, sb);
    const bool owners_only = (how_.flags & O_NOATIME) != 0 && !acting->is_root();
    if (!owners_only) return create((how_.flags & O_EXCL) != 0, file);
    // Nothing of another's is opened, and even less cut, before O_NOATIME is refused.
    for (int i = 0; i < kFindOrCreateTries; ++i) {
      Result<CreateResult> found = find(ENOENT);
      if (found.ok() || found.error() != Errno(ENOENT)) return found;
      found = create(true, file);
      if (found.ok() || found.error() != Errno(EEXIST)) return found;
    }
    return Errno(EEXIST);
  }

  Result<CreateResult> create(bool exclusive, RefPtr<File>* file) {
    Dentry& dir = *parent_.path.dentry;
    Inode& inode = *dir.d_inode();
    Ref<File> unbound = File::create_unbound(dir.d_sb(), how_.flags, ctx_.cred);
    CreateArgs args;
    args.mode = how_.mode;
    args.umask = how_.umask;
    args.exclusive = exclusive;
    args.file = unbound.get();
    WriteLock lock(inode.i_rwsem);
    if ((inode.i_flags.load(std::memory_order_acquire) & Inode::kDead) != 0) return Errno(ENOENT);
    ChangeInFlight change({{&dir, parent_.last}});
    MYFS_ASSIGN(CreateResult result,
                inode.i_op().create(change.context(ctx_), dir, parent_.last, args));
    if (!result.opened) return result;
    unbound->set_path(Path{parent_.path.mnt, result.dentry});
    unbound->f_mode |= File::kOpened;
    *file = std::move(unbound);
    // find_or_create() writes here: it cannot fail.
    MYFS_TRY(Result<void>((*file)->get_write_access()));
    return result;
  }

  // What exists may be opened where nothing can be made; `absent`: the error if nothing does.
  Result<CreateResult> find(int absent) {
    Result<WalkResult> found = lookup_last(0);
    if (!found.ok()) return found.error() == Errno(ENOENT) ? Errno(absent) : found.error();
    CreateResult result{.dentry = std::move(found->path.dentry).to_ref(), .stat = {}};
    result.has_stat = found->has_stat;
    result.stat = found->stat;
    return result;
  }

  Result<Ref<File>> open_child(RefPtr<Dentry> child, const Kstat* stat,
                               const CreateResult& created) {
    Path path{parent_.path.mnt, child};
    if ((child->flags() & Dentry::kMounted) != 0) {
      MYFS_ASSIGN(WalkResult found, lookup_last(0));  // which knows about mounts
      path = std::move(found.path);
      stat = nullptr;
    }
    if (path.inode().is_dir()) return Errno(EISDIR);
    if (!created.created) return open_path(ctx_, std::move(path), how_, stat);
    // Made by us: whatever its mode says, we may use it.
    Ref<File> file = File::create(path, how_.flags, ctx_.cred);
    MYFS_TRY(Result<void>(file->get_write_access()));
    MYFS_TRY(path.inode().i_fop().open(ctx_, path.inode(), *file, true));
    file->f_mode |= File::kOpened;
    return file;
  }

  Result<void> follow(Inode& link) {
    if (++links_ > kSymlinksFollowedMax) return Errno(ELOOP);
    if (link.i_link() == nullptr) {
      MYFS_ASSIGN(std::string target, link.i_op().readlink(ctx_, link));
      link.set_link(target);
    }
    const std::string target = *link.i_link();
    const Path start = parent_.path;
    if ((how_.resolve & LOOKUP_NO_SYMLINKS) != 0) return Errno(ELOOP);
    if (target.starts_with('/')) {
      const bool leaves = (how_.resolve & LOOKUP_NO_XDEV) != 0 &&
                          start.mnt != (scope_ ? scope_ : task_.fs.root()).mnt;
      if (leaves || (how_.resolve & LOOKUP_BENEATH) != 0) return Errno(EXDEV);
    }
    MYFS_ASSIGN(parent_, path_lookup_from(ctx_, task_, start, target, how_.resolve | LOOKUP_PARENT,
                                          LookupIntent::kWalk, &links_, scope()));
    return ok_result();
  }

  Result<WalkResult> lookup_last(uint32_t flags) {
    int links = 0;
    return path_lookup_from(ctx_, task_, parent_.path, parent_.last, how_.resolve | flags,
                            how_.intent, &links, scope());
  }

  const Path* scope() const { return scope_ ? &scope_ : nullptr; }

  static constexpr int kFindOrCreateTries = 8;  // others who make and remove it all the time

  const CallContext& ctx_;
  TaskStruct& task_;
  const OpenFlags how_;
  const Path& scope_;
  WalkResult parent_;
  int links_ = 0;
};

Result<void> set_dir(const CallContext& ctx, Path path, FsStruct& fs, void (FsStruct::*set)(Path)) {
  if (!path.inode().is_dir()) return Errno(ENOTDIR);
  MYFS_TRY(inode_permission(ctx, path.inode(), MAY_EXEC));
  (fs.*set)(std::move(path));
  return ok_result();
}

// A file without a name in the directory of the path [do_tmpfile].
Result<Ref<File>> open_tmpfile(const CallContext& ctx, TaskStruct& task, const Path& scope, At at,
                               const OpenFlags& how) {
  MYFS_ASSIGN(WalkResult dir,
              lookup_in(ctx, task, scope, at, how.lookup | LOOKUP_DIRECTORY, LookupIntent::kWalk));
  MYFS_ASSIGN(const WantWrite writing, WantWrite::get(ctx, dir.path));
  MYFS_TRY(Result<void>(may_own(*ctx.cred, dir.path.dentry->d_sb())));
  MYFS_TRY(inode_permission(ctx, dir.path.inode(), MAY_WRITE | MAY_EXEC));
  Ref<File> file = File::create_unbound(dir.path.dentry->d_sb(), how.flags, ctx.cred);
  CreateArgs args;
  args.mode = how.mode;
  args.umask = how.umask;
  args.exclusive = (how.flags & O_EXCL) != 0;
  args.file = file.get();
  MYFS_ASSIGN(CreateResult made, dir.path.inode().i_op().tmpfile(ctx, *dir.path.dentry, args));
  file->set_path(Path{dir.path.mnt, made.dentry});
  file->f_mode |= File::kOpened;
  MYFS_TRY(Result<void>(file->get_write_access()));
  return file;
}

// [do_dentry_open] Leases that this open breaks; then mappings of what O_TRUNC has cut.
Result<Ref<File>> show_opened(const CallContext& ctx, Result<Ref<File>> opened, uint32_t flags) {
  if (!opened.ok() || (flags & O_PATH) != 0) return opened;
  Inode& inode = (*opened)->f_inode();
  const bool truncates = (flags & O_TRUNC) != 0;
  if (inode.is_regular()) {
    const bool writes = (*opened)->may_write() || truncates;
    MYFS_TRY(break_lease(ctx, inode, (*opened)->f_open_id, writes, flags));
  }
  if (!truncates) return opened;
  if ((inode.i_flags.load(std::memory_order_acquire) & Inode::kMapped) == 0) return opened;
  WriteLock lock(inode.i_rwsem);
  mmap_changed(ctx, inode, 0, 0);
  return opened;
}

Result<Ref<File>> do_filp_open(const CallContext& ctx, TaskStruct& task, At at,
                               const OpenHow& asked, uint32_t umask) {
  MYFS_ASSIGN(const OpenFlags how, build_open_flags(asked, umask));
  auto open = [&]() -> Result<Ref<File>> {
    MYFS_ASSIGN(const Path scope, scope_of(ctx, task, at, how));
    if ((how.flags & kTmpfile) != 0) return open_tmpfile(ctx, task, scope, at, how);
    if ((how.flags & O_CREAT) != 0) return CreatingOpen(ctx, task, how, scope).run(at);
    MYFS_ASSIGN(WalkResult found, lookup_existing(ctx, task, scope, at, how));
    return open_path(ctx, std::move(found.path), how, found.has_stat ? &found.stat : nullptr);
  };
  return show_opened(ctx, retry_estale(open), how.flags);
}

Result<int> do_open(const CallContext& ctx, TaskStruct& task, At at, const OpenHow& how) {
  const bool close_on_exec = (how.flags & O_CLOEXEC) != 0;
  if ((how.flags & (O_CREAT | O_TRUNC | kTmpfile)) == 0) {
    MYFS_ASSIGN(Ref<File> file, do_filp_open(ctx, task, at, how, task.fs.umask()));
    return task.files.fd_install(std::move(file), 0, close_on_exec);
  }
  // Nothing is made or cut for which there is no descriptor.
  MYFS_ASSIGN(const int fd, task.files.fd_reserve());
  Result<Ref<File>> file = do_filp_open(ctx, task, at, how, task.fs.umask());
  if (!file.ok()) {
    task.files.fd_cancel(fd);
    return file.error();
  }
  task.files.fd_bind(fd, std::move(*file), close_on_exec);
  return fd;
}

Result<void> filp_close(const CallContext& ctx, const TaskStruct& task, File& file) {
  if ((file.f_mode & File::kOpened) == 0) return ok_result();
  Result<void> flushed = file.f_op().flush(ctx, file);
  locks_remove_posix(ctx, file, task.lock_owner);
  return flushed;
}

Result<int> do_dup_to(const CallContext& ctx, TaskStruct& task, Ref<File> file, int to,
                      bool close_on_exec) {
  MYFS_ASSIGN(RefPtr<File> old, task.files.fd_replace(to, std::move(file), close_on_exec));
  // Its error is lost, as that of the close() in dup2 of the kernel; the write-back error stays
  // with the mapping.
  if (old) (void)filp_close(ctx, task, *old);
  return to;
}

}  // namespace

Result<Ref<File>> filp_open(const CallContext& ctx, TaskStruct& task, At at, uint32_t flags,
                            uint32_t mode) {
  return filp_open(ctx, task, at, flags, mode, task.fs.umask());
}

Result<Ref<File>> filp_open(const CallContext& ctx, TaskStruct& task, At at, uint32_t flags,
                            uint32_t mode, uint32_t umask) {
  return do_filp_open(ctx, task, at, build_open_how(flags, mode), umask);
}

Result<Ref<File>> dentry_open(const CallContext& ctx, Path path, uint32_t flags) {
  if ((flags & kTmpfile) != 0) return Errno(EOPNOTSUPP);
  MYFS_ASSIGN(OpenFlags how,
              build_open_flags(build_open_how(flags & ~uint32_t{O_CREAT | O_EXCL}, 0), 0));
  if ((flags & kOpenExec) != 0) {
    if (how.access != MAY_READ) return Errno(EINVAL);
    how.flags |= kOpenExec;
    how.access = MAY_EXEC;
  }
  if ((flags & O_DIRECTORY) != 0 && !path.inode().is_dir()) return Errno(ENOTDIR);
  return show_opened(ctx, open_path(ctx, std::move(path), how, nullptr), how.flags);
}

Result<int> vfs_open(const CallContext& ctx, TaskStruct& task, At at, uint32_t flags,
                     uint32_t mode) {
  return do_open(ctx, task, at, build_open_how(flags, mode));
}

Result<int> vfs_openat2(const CallContext& ctx, TaskStruct& task, At at, const OpenHow& how) {
  if (Errno error = check_open_how(how); !error.ok()) return error;
  return do_open(ctx, task, at, how);
}

Result<void> vfs_close(const CallContext& ctx, TaskStruct& task, int fd) {
  RefPtr<File> file = task.files.fd_close(fd);
  if (!file) return Errno(EBADF);
  return filp_close(ctx, task, *file);
}

Result<int> vfs_dup(TaskStruct& task, int fd, int lowest, bool close_on_exec) {
  RefPtr<File> file = task.files.fget(fd);
  if (!file) return Errno(EBADF);
  return task.files.fd_install(std::move(file).to_ref(), lowest, close_on_exec);
}

Result<int> vfs_dup2(const CallContext& ctx, TaskStruct& task, int fd, int to) {
  RefPtr<File> file = task.files.fget(fd);
  if (!file) return Errno(EBADF);
  if (FdTable::number(fd) == to) return to;
  return do_dup_to(ctx, task, std::move(file).to_ref(), to, false);
}

Result<int> vfs_dup3(const CallContext& ctx, TaskStruct& task, int fd, int to, int flags) {
  if ((flags & ~O_CLOEXEC) != 0 || FdTable::number(fd) == to) return Errno(EINVAL);
  RefPtr<File> file = task.files.fget(fd);
  if (!file) return Errno(EBADF);
  return do_dup_to(ctx, task, std::move(file).to_ref(), to, (flags & O_CLOEXEC) != 0);
}

Result<void> vfs_close_range(const CallContext& ctx, TaskStruct& task, unsigned first,
                             unsigned last, unsigned flags) {
  // Nobody shares a task's table, so there is nothing to be unshared.
  constexpr unsigned kUnshare = 2, kCloexec = 4;  // CLOSE_RANGE_*
  if ((flags & ~(kUnshare | kCloexec)) != 0 || first > last) return Errno(EINVAL);
  Result<void> result;
  for (int fd : task.files.open_fds()) {
    const auto number = static_cast<unsigned>(fd);
    if (number < first || number > last) continue;
    // EBADF: somebody else has closed it meanwhile.
    if ((flags & kCloexec) != 0) {
      (void)task.files.set_close_on_exec(fd, true);
      continue;
    }
    Result<void> closed = vfs_close(ctx, task, fd);
    if (!closed.ok() && closed.error() != Errno(EBADF) && result.ok()) result = closed;
  }
  return result;
}

Result<uint32_t> vfs_get_flags(const TaskStruct& task, int fd) {
  RefPtr<File> file = task.files.fget(fd);
  if (!file) return Errno(EBADF);
  return file->f_flags() & ~uint32_t{O_TRUNC | O_CLOEXEC};
}

Result<void> vfs_set_flags(const CallContext& ctx, const TaskStruct& task, int fd, uint32_t flags) {
  RefPtr<File> file = task.files.fget(fd);
  if (!file || (file->f_mode & File::kPath) != 0) return Errno(EBADF);
  if ((flags & O_NOATIME) != 0 && (file->f_flags() & O_NOATIME) == 0) {
    MYFS_TRY(inode_owner_or_capable(ctx, file->f_inode()));
  }
  file->set_status_flags(flags);
  return ok_result();
}

Result<int> vfs_fcntl(const CallContext& ctx, TaskStruct& task, int fd, int cmd, int64_t arg) {
  RefPtr<File> file = task.files.fget(fd);
  if (!file) return Errno(EBADF);
  switch (cmd) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
      if (arg < 0 || arg >= kDescriptorsMax) return Errno(EINVAL);
      return task.files.fd_install(std::move(file).to_ref(), static_cast<int>(arg),
                                   cmd == F_DUPFD_CLOEXEC);
    case F_GETFD: {
      MYFS_ASSIGN(const bool marked, task.files.close_on_exec(fd));
      return marked ? FD_CLOEXEC : 0;
    }
    case F_SETFD:
      MYFS_TRY(task.files.set_close_on_exec(fd, (arg & FD_CLOEXEC) != 0));
      return 0;
    case F_GETFL: {
      MYFS_ASSIGN(const uint32_t flags, vfs_get_flags(task, fd));
      return static_cast<int>(flags);
    }
    case F_SETFL:
      MYFS_TRY(vfs_set_flags(ctx, task, fd, static_cast<uint32_t>(arg)));
      return 0;
    default:
      return (file->f_mode & File::kPath) != 0 ? Errno(EBADF) : Errno(EINVAL);
  }
}

Result<void> vfs_chdir(const CallContext& ctx, TaskStruct& task, At at) {
  MYFS_ASSIGN(WalkResult found, path_lookup(ctx, task, at, LOOKUP_FOLLOW | LOOKUP_DIRECTORY));
  return set_dir(ctx, std::move(found.path), task.fs, &FsStruct::set_pwd);
}

Result<void> vfs_fchdir(const CallContext& ctx, TaskStruct& task, int fd) {
  RefPtr<File> file = task.files.fget(fd);
  if (!file) return Errno(EBADF);
  return set_dir(ctx, file->f_path(), task.fs, &FsStruct::set_pwd);
}

Result<void> vfs_chroot(const CallContext& ctx, TaskStruct& task, At at) {
  MYFS_ASSIGN(WalkResult found, path_lookup(ctx, task, at, LOOKUP_FOLLOW | LOOKUP_DIRECTORY));
  MYFS_TRY(inode_permission(ctx, found.path.inode(), MAY_EXEC));
  if (!ctx.cred->is_root()) return Errno(EPERM);
  return set_dir(ctx, std::move(found.path), task.fs, &FsStruct::set_root);
}

Result<std::string> vfs_getcwd(const CallContext& ctx, const TaskStruct& task) {
  Path pwd = task.fs.pwd();
  if (!pwd) return Errno(ENOENT);
  return d_path(ctx, task, pwd);
}

Result<std::string> vfs_realpath(const CallContext& ctx, const TaskStruct& task, At at) {
  MYFS_ASSIGN(WalkResult found, path_lookup(ctx, task, at, LOOKUP_FOLLOW | LOOKUP_EMPTY));
  return d_path(ctx, task, found.path);
}

}  // namespace myfs::fs
