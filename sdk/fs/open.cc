#include "sdk/fs/open.h"

#include <fcntl.h>

#include <utility>

#include "sdk/base/rcu.h"
#include "sdk/fs/namei_ops.h"
#include "sdk/fs/permission.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

namespace {

struct OpenHow {
  uint32_t flags;
  uint32_t mode, umask;
  uint32_t access;  // MAY_*
  uint32_t lookup;
  LookupIntent intent;
};

// [build_open_flags]
Result<OpenHow> build_open_flags(uint32_t flags, uint32_t mode, uint32_t umask) {
  OpenHow how{};
  if ((flags & O_PATH) != 0) flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  if ((flags & (O_TMPFILE & ~O_DIRECTORY)) != 0) return Errno(EOPNOTSUPP);
  if ((flags & O_CREAT) != 0 && (flags & O_DIRECTORY) != 0) return Errno(EINVAL);
  switch (flags & O_ACCMODE) {
    case O_RDONLY:
      how.access = (flags & O_PATH) != 0 ? 0 : MAY_READ;
      break;
    case O_WRONLY:
      how.access = MAY_WRITE;
      break;
    case O_RDWR:
      how.access = MAY_READ | MAY_WRITE;
      break;
    default:
      return Errno(EINVAL);
  }
  if ((flags & O_TRUNC) != 0) how.access |= MAY_WRITE;
  how.flags = flags;
  how.mode = S_IFREG | (mode & 07777);
  how.umask = umask;
  how.lookup = ((flags & O_NOFOLLOW) == 0 ? uint32_t{LOOKUP_FOLLOW} : 0) |
               ((flags & O_DIRECTORY) != 0 ? uint32_t{LOOKUP_DIRECTORY} : 0);
  how.intent = (flags & O_PATH) != 0           ? LookupIntent::kWalk
               : (how.access & MAY_WRITE) != 0 ? LookupIntent::kOpenWrite
                                               : LookupIntent::kOpenRead;
  return how;
}

bool is_read_only(const Path& path) {
  return path.mnt->is_read_only() || path.dentry->d_sb().is_read_only();
}

// [may_open] `*permitted`: the permission was checked on true attributes; else the file system
// must.
Result<void> may_open(const CallContext& ctx, const Path& path, const OpenHow& how,
                      const Kstat* stat, bool* permitted) {
  const Inode& inode = path.inode();
  *permitted = false;
  if (inode.is_symlink()) return Errno(ELOOP);
  if (inode.is_dir() && (how.access & MAY_WRITE) != 0) return Errno(EISDIR);
  // Devices, pipes and sockets live in a kernel; here they are names only.
  if (!inode.is_dir() && !inode.is_regular()) return Errno(ENXIO);
  if ((how.access & MAY_WRITE) != 0 && is_read_only(path)) return Errno(EROFS);
  RcuReadGuard guard;
  Perm perm;
  if (stat != nullptr && !stat->has_acl) {
    perm = Perm(*stat);
  } else if (!inode.attr_young() || !inode.perm_hit(&perm) || !inode.i_sb().s_validity.alive()) {
    return ok_result();
  }
  if (Errno error = generic_permission(*ctx.cred, perm, how.access); !error.ok()) return error;
  if ((how.flags & O_NOATIME) != 0 && !ctx.cred->is_root() && ctx.cred->uid != perm.uid) {
    return Errno(EPERM);
  }
  *permitted = true;
  return ok_result();
}

Result<Ref<File>> open_path(const CallContext& ctx, Path path, const OpenHow& how,
                            const Kstat* stat) {
  Inode& inode = path.inode();
  if ((how.flags & O_PATH) != 0) return File::create(std::move(path), how.flags, ctx.cred);
  bool permitted;
  MYFS_TRY(may_open(ctx, path, how, stat, &permitted));
  Ref<File> file = File::create(std::move(path), how.flags, ctx.cred);
  MYFS_TRY(inode.i_fop().open(ctx, inode, *file, permitted));
  file->f_mode |= File::kOpened;
  return file;
}

// open(O_CREAT): one object per call, since symbolic links lead it from directory to directory.
class CreatingOpen {
 public:
  CreatingOpen(const CallContext& ctx, TaskStruct& task, const OpenHow& how)
      : ctx_(ctx), task_(task), how_(how) {}

  Result<Ref<File>> run(At at) {
    MYFS_ASSIGN(parent_, path_lookup(ctx_, task_, at, LOOKUP_PARENT));
    while (true) {
      if (parent_.last_type != LastType::kNorm || parent_.trailing_slash) return Errno(EISDIR);
      RefPtr<Dentry> child;
      Errno error;
      WalkOutcome known = cached_child(ctx_, task_, parent_.path, parent_.last, &child, &error);
      if (known == WalkOutcome::kError && error != Errno(ENOENT)) return error;
      RefPtr<File> file;
      const Kstat* stat = nullptr;
      CreateResult created{.dentry = Ref<Dentry>(*parent_.path.dentry), .stat = {}};
      if (known != WalkOutcome::kHit) {
        MYFS_ASSIGN(created, create(&file));
        if (file && created.opened) return finish(std::move(file), created);
        child = created.dentry;
        if (created.has_stat) stat = &created.stat;
      }
      if (!created.created && (how_.flags & O_EXCL) != 0) return Errno(EEXIST);
      if (!child->d_inode()->is_symlink()) return open_child(std::move(child), stat, created);
      if ((how_.flags & O_NOFOLLOW) != 0) return Errno(ELOOP);
      MYFS_TRY(follow(*child->d_inode()));
    }
  }

 private:
  Result<CreateResult> create(RefPtr<File>* file) {
    if (is_read_only(parent_.path)) return read_only_create();
    Dentry& dir = *parent_.path.dentry;
    Inode& inode = *dir.d_inode();
    Ref<File> unbound = File::create_unbound(dir.d_sb(), how_.flags, ctx_.cred);
    CreateArgs args;
    args.mode = how_.mode;
    args.umask = how_.umask;
    args.exclusive = (how_.flags & O_EXCL) != 0;
    args.file = unbound.get();
    WriteLock lock(inode.i_rwsem);
    if ((inode.i_flags.load(std::memory_order_acquire) & Inode::kDead) != 0) return Errno(ENOENT);
    ChangeInFlight change({{&dir, parent_.last}});
    MYFS_ASSIGN(CreateResult result,
                inode.i_op().create(change.context(ctx_), dir, parent_.last, args));
    if (result.opened) *file = std::move(unbound);
    return result;
  }

  // Nothing can be made here; what exists may still be opened for reading.
  Result<CreateResult> read_only_create() {
    int links = 0;
    Result<WalkResult> found =
        path_lookup_from(ctx_, task_, parent_.path, parent_.last, 0, how_.intent, &links);
    if (!found.ok()) return found.error() == Errno(ENOENT) ? Errno(EROFS) : found.error();
    CreateResult result{.dentry = std::move(found->path.dentry).to_ref(), .stat = {}};
    result.has_stat = found->has_stat;
    result.stat = found->stat;
    return result;
  }

  Result<Ref<File>> finish(RefPtr<File> file, const CreateResult& created) {
    file->set_path(Path{parent_.path.mnt, created.dentry});
    file->f_mode |= File::kOpened;
    return std::move(file).to_ref();
  }

  Result<Ref<File>> open_child(RefPtr<Dentry> child, const Kstat* stat,
                               const CreateResult& created) {
    // The walk knows about mounts; what it is told to follow is no link.
    int links = 0;
    Path path{parent_.path.mnt, child};
    if ((child->flags() & Dentry::kMounted) != 0) {
      MYFS_ASSIGN(WalkResult found, path_lookup_from(ctx_, task_, parent_.path, parent_.last, 0,
                                                     how_.intent, &links));
      path = std::move(found.path);
      stat = nullptr;
    }
    if (path.inode().is_dir()) return Errno(EISDIR);
    if (!created.created) return open_path(ctx_, std::move(path), how_, stat);
    // Made by us: whatever its mode says, we may use it.
    Ref<File> file = File::create(path, how_.flags, ctx_.cred);
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
    MYFS_ASSIGN(parent_, path_lookup_from(ctx_, task_, start, target, LOOKUP_PARENT,
                                          LookupIntent::kWalk, &links_));
    return ok_result();
  }

  const CallContext& ctx_;
  TaskStruct& task_;
  const OpenHow how_;
  WalkResult parent_;
  int links_ = 0;
};

Result<void> set_dir(const CallContext& ctx, Path path, FsStruct& fs, void (FsStruct::*set)(Path)) {
  if (!path.inode().is_dir()) return Errno(ENOTDIR);
  MYFS_TRY(inode_permission(ctx, path.inode(), MAY_EXEC));
  (fs.*set)(std::move(path));
  return ok_result();
}

}  // namespace

Result<Ref<File>> filp_open(const CallContext& ctx, TaskStruct& task, At at, uint32_t flags,
                            uint32_t mode) {
  return filp_open(ctx, task, at, flags, mode, task.fs.umask());
}

Result<Ref<File>> filp_open(const CallContext& ctx, TaskStruct& task, At at, uint32_t flags,
                            uint32_t mode, uint32_t umask) {
  MYFS_ASSIGN(OpenHow how, build_open_flags(flags, mode, umask));
  return retry_estale([&]() -> Result<Ref<File>> {
    if ((how.flags & O_CREAT) != 0) return CreatingOpen(ctx, task, how).run(at);
    MYFS_ASSIGN(WalkResult found, path_lookup(ctx, task, at, how.lookup, how.intent));
    return open_path(ctx, std::move(found.path), how, found.has_stat ? &found.stat : nullptr);
  });
}

Result<Ref<File>> dentry_open(const CallContext& ctx, Path path, uint32_t flags) {
  MYFS_ASSIGN(const OpenHow how, build_open_flags(flags & ~uint32_t{O_CREAT | O_EXCL}, 0, 0));
  if ((flags & O_DIRECTORY) != 0 && !path.inode().is_dir()) return Errno(ENOTDIR);
  return open_path(ctx, std::move(path), how, nullptr);
}

Result<int> vfs_open(const CallContext& ctx, TaskStruct& task, At at, uint32_t flags,
                     uint32_t mode) {
  if ((flags & (O_CREAT | O_TRUNC)) == 0) {
    MYFS_ASSIGN(Ref<File> file, filp_open(ctx, task, at, flags, mode));
    return task.files.fd_install(std::move(file));
  }
  // Nothing is made or cut for which there is no descriptor.
  MYFS_ASSIGN(const int fd, task.files.fd_reserve());
  Result<Ref<File>> file = filp_open(ctx, task, at, flags, mode);
  if (!file.ok()) {
    task.files.fd_cancel(fd);
    return file.error();
  }
  task.files.fd_bind(fd, std::move(*file));
  return fd;
}

Result<void> vfs_close(const CallContext& ctx, TaskStruct& task, int fd) {
  RefPtr<File> file = task.files.fd_close(fd);
  if (!file) return Errno(EBADF);
  if ((file->f_mode & File::kOpened) == 0) return ok_result();
  return file->f_op().flush(ctx, *file);
}

Result<int> vfs_dup(TaskStruct& task, int fd, int lowest) {
  RefPtr<File> file = task.files.fget(fd);
  if (!file) return Errno(EBADF);
  return task.files.fd_install(std::move(file).to_ref(), lowest);
}

Result<int> vfs_dup2(const CallContext& ctx, TaskStruct& task, int fd, int to) {
  RefPtr<File> file = task.files.fget(fd);
  if (!file) return Errno(EBADF);
  if (fd == to) return to;
  MYFS_ASSIGN(RefPtr<File> old, task.files.fd_replace(to, std::move(file).to_ref()));
  // As close() in dup2 of the kernel: its error is lost, the write-back error stays with the
  // mapping.
  if (old && (old->f_mode & File::kOpened) != 0) (void)old->f_op().flush(ctx, *old);
  return to;
}

Result<uint32_t> vfs_get_flags(const TaskStruct& task, int fd) {
  RefPtr<File> file = task.files.fget(fd);
  if (!file) return Errno(EBADF);
  return file->f_flags();
}

Result<void> vfs_set_flags(const TaskStruct& task, int fd, uint32_t flags) {
  RefPtr<File> file = task.files.fget(fd);
  if (!file || (file->f_mode & File::kPath) != 0) return Errno(EBADF);
  file->set_status_flags(flags);
  return ok_result();
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
  if (!ctx.cred->is_root()) return Errno(EPERM);
  MYFS_ASSIGN(WalkResult found, path_lookup(ctx, task, at, LOOKUP_FOLLOW | LOOKUP_DIRECTORY));
  return set_dir(ctx, std::move(found.path), task.fs, &FsStruct::set_root);
}

Result<std::string> vfs_getcwd(const CallContext& ctx, const TaskStruct& task) {
  Path pwd = task.fs.pwd();
  if (!pwd) return Errno(ENOENT);
  return d_path(ctx, task, pwd);
}

}  // namespace myfs::fs
