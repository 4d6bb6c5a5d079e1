#include "sdk/fs/stat.h"

#include <fcntl.h>
#include <unistd.h>

#include "sdk/base/nowait.h"
#include "sdk/base/rcu.h"
#include "sdk/fs/permission.h"

namespace myfs::fs {

namespace {

constexpr int kStatFlags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT |
                           AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC;

uint32_t lookup_flags(int at_flags) {
  return ((at_flags & AT_SYMLINK_NOFOLLOW) == 0 ? uint32_t{LOOKUP_FOLLOW} : 0) |
         ((at_flags & AT_EMPTY_PATH) != 0 ? uint32_t{LOOKUP_EMPTY} : 0);
}

}  // namespace

Result<void> vfs_stat(const CallContext& ctx, const TaskStruct& task, At at, int at_flags,
                      Kstat* stat) {
  if ((at_flags & ~kStatFlags) != 0) return Errno(EINVAL);
  const uint32_t flags = lookup_flags(at_flags);
  const bool force_sync = (at_flags & AT_STATX_FORCE_SYNC) != 0;
  if (!force_sync) [[likely]] {
    Errno error;
    WalkOutcome outcome = rcu_walk(
        ctx, task, at, flags,
        [stat](const RcuHit& hit) {
          if (!hit.inode->attr_hit(stat)) return false;
          hit.inode->i_sb().show(stat);
          return true;
        },
        &error);
    if (outcome == WalkOutcome::kHit) return ok_result();
    if (outcome == WalkOutcome::kError) return error;
  }
  return retry_estale([&]() -> Result<void> {
    MYFS_ASSIGN(WalkResult found, path_lookup(ctx, task, at, flags, LookupIntent::kStat));
    if (found.has_stat && !force_sync) {
      *stat = found.stat;
      found.path.inode().i_sb().show(stat);
      return ok_result();
    }
    MYFS_ASSIGN(*stat, vfs_getattr(ctx, found.path.inode(), force_sync));
    return ok_result();
  });
}

Result<Kstat> vfs_getattr(const CallContext& ctx, Inode& inode, bool force_sync) {
  Kstat stat;
  SuperBlock& sb = inode.i_sb();
  if (!force_sync && inode.attr_hit(&stat) && sb.s_validity.alive()) {
    sb.s_counters.attr_hits.add();
  } else {
    if (must_not_wait()) return refuse_to_wait();
    sb.s_counters.attr_misses.add();
    MYFS_ASSIGN(stat, inode.i_op().getattr(ctx, inode));
  }
  sb.show(&stat);
  return stat;
}

Result<void> vfs_fstat(const CallContext& ctx, const TaskStruct& task, int fd, Kstat* stat) {
  {
    RcuReadGuard guard;
    const File* file = task.files.fcheck_rcu(fd);
    if (file == nullptr) return Errno(EBADF);
    const Inode& inode = file->f_inode();
    if (inode.attr_hit(stat) && inode.i_sb().s_validity.alive()) {
      inode.i_sb().show(stat);
      return ok_result();
    }
  }
  RefPtr<File> file = task.files.fget(fd);
  if (!file) return Errno(EBADF);
  MYFS_ASSIGN(*stat, vfs_getattr(ctx, file->f_inode()));
  return ok_result();
}

Result<void> vfs_access(const CallContext& ctx, const TaskStruct& task, At at, int mode,
                        int at_flags) {
  if ((mode & ~(R_OK | W_OK | X_OK)) != 0) return Errno(EINVAL);
  if ((at_flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_EACCESS)) != 0) return Errno(EINVAL);
  static_assert(R_OK == MAY_READ && W_OK == MAY_WRITE && X_OK == MAY_EXEC);
  MYFS_ASSIGN(WalkResult found,
              path_lookup(ctx, task, at, lookup_flags(at_flags), LookupIntent::kStat));
  if (mode == F_OK) return ok_result();
  Inode& inode = found.path.inode();
  const bool read_only = found.path.mnt->is_read_only() || inode.i_sb().is_read_only();
  const bool writes_content = inode.is_dir() || inode.is_regular() || inode.is_symlink();
  if ((mode & W_OK) != 0 && read_only && writes_content) return Errno(EROFS);
  if (found.has_stat && !found.stat.has_acl) {
    return generic_permission(*Acting(*ctx.cred, inode.i_sb()), Perm(found.stat),
                              static_cast<uint32_t>(mode));
  }
  return inode_permission(ctx, inode, static_cast<uint32_t>(mode));
}

Result<Kstatfs> vfs_statfs_at(const CallContext& ctx, const Path& path) {
  MYFS_ASSIGN(Kstatfs result, path.dentry->d_sb().s_op().statfs(ctx, *path.dentry));
  if (path.mnt->is_read_only() || path.dentry->d_sb().is_read_only()) {
    result.f_flags |= 1;  // ST_RDONLY
  }
  return result;
}

Result<Kstatfs> vfs_statfs(const CallContext& ctx, const TaskStruct& task, At at) {
  MYFS_ASSIGN(WalkResult found, path_lookup(ctx, task, at, LOOKUP_FOLLOW));
  return vfs_statfs_at(ctx, found.path);
}

Result<Kstatfs> vfs_fstatfs(const CallContext& ctx, const TaskStruct& task, int fd) {
  RefPtr<File> file = task.files.fget(fd);
  if (!file) return Errno(EBADF);
  return vfs_statfs_at(ctx, file->f_path());
}

}  // namespace myfs::fs
