#include "sdk/fs/attr.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <optional>
#include <utility>

#include "sdk/base/limits.h"
#include "sdk/base/rcu.h"
#include "sdk/fs/locks.h"
#include "sdk/fs/mmap.h"
#include "sdk/fs/namei_ops.h"
#include "sdk/fs/permission.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

namespace {

constexpr uint32_t kPermParts = Iattr::kMode | Iattr::kUid | Iattr::kGid | Iattr::kKillPriv;
constexpr uint32_t kModeMask = 07777;

Result<WalkResult> lookup_for_change(const CallContext& ctx, const TaskStruct& task, At at,
                                     int at_flags) {
  if ((at_flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) return Errno(EINVAL);
  const uint32_t flags = ((at_flags & AT_SYMLINK_NOFOLLOW) == 0 ? uint32_t{LOOKUP_FOLLOW} : 0) |
                         ((at_flags & AT_EMPTY_PATH) != 0 ? uint32_t{LOOKUP_EMPTY} : 0);
  return path_lookup(ctx, task, at, flags);
}

// A file for fchmod and its like.
Result<Ref<File>> file_for_change(const TaskStruct& task, int fd) {
  RefPtr<File> file = task.files.fget(fd);
  if (!file || (file->f_mode & File::kPath) != 0) return Errno(EBADF);
  return std::move(file).to_ref();
}

Result<void> chmod_inode(const CallContext& ctx, Inode& inode, uint32_t mode, File* file) {
  if (inode.is_symlink()) return Errno(EOPNOTSUPP);
  Iattr attr;
  attr.ia_valid = Iattr::kMode;
  attr.ia_mode = mode & kModeMask;
  return notify_change(ctx, inode, attr, file);
}

Result<void> chown_inode(const CallContext& ctx, Inode& inode, uint32_t uid, uint32_t gid,
                         File* file) {
  Iattr attr;
  if (uid != kNoId) attr.ia_valid |= Iattr::kUid;
  if (gid != kNoId) attr.ia_valid |= Iattr::kGid;
  if (!inode.is_dir()) attr.ia_valid |= Iattr::kKillPriv;
  attr.ia_uid = uid;
  attr.ia_gid = gid;
  return notify_change(ctx, inode, attr, file);
}

// The ids of a chown as the server knows them. EOVERFLOW: it does not.
Errno map_owner(const SuperBlock& sb, Iattr* attr) {
  if (sb.s_idmap() == nullptr) return Errno();
  if ((attr->ia_valid & Iattr::kUid) != 0) {
    const std::optional<uint32_t> uid = sb.s_idmap()->uid_in(attr->ia_uid);
    if (!uid.has_value()) return Errno(EOVERFLOW);
    attr->ia_uid = *uid;
  }
  if ((attr->ia_valid & Iattr::kGid) != 0) {
    const std::optional<uint32_t> gid = sb.s_idmap()->gid_in(attr->ia_gid);
    if (!gid.has_value()) return Errno(EOVERFLOW);
    attr->ia_gid = *gid;
  }
  return Errno();
}

Result<void> check_length(int64_t length) {
  if (length < 0) return Errno(EINVAL);
  if (static_cast<uint64_t>(length) > kFileSizeMax_bytes) return Errno(EFBIG);
  return ok_result();
}

Result<void> truncate_inode(const CallContext& ctx, Inode& inode, int64_t length, File* file) {
  Iattr attr;
  attr.ia_valid = Iattr::kSize;
  attr.ia_size = static_cast<uint64_t>(length);
  return notify_change(ctx, inode, attr, file);
}

// Which bits a time asks for; EINVAL for nanoseconds out of range.
Result<uint32_t> time_bits(const timespec& time, uint32_t set, uint32_t now, Time* to) {
  if (time.tv_nsec == UTIME_OMIT) return 0u;
  if (time.tv_nsec == UTIME_NOW) return set | now;
  if (time.tv_nsec < 0 || time.tv_nsec > 999'999'999) return Errno(EINVAL);
  *to = Time{time.tv_sec, static_cast<uint32_t>(time.tv_nsec)};
  return set;
}

Result<Iattr> utimes_attr(const timespec* times) {
  Iattr attr;
  if (times == nullptr) {
    attr.ia_valid = Iattr::kAtime | Iattr::kMtime | Iattr::kAtimeNow | Iattr::kMtimeNow;
    return attr;
  }
  MYFS_ASSIGN(uint32_t atime, time_bits(times[0], Iattr::kAtime, Iattr::kAtimeNow, &attr.ia_atime));
  MYFS_ASSIGN(uint32_t mtime, time_bits(times[1], Iattr::kMtime, Iattr::kMtimeNow, &attr.ia_mtime));
  attr.ia_valid = atime | mtime;
  return attr;
}

}  // namespace

Errno setattr_prepare(const Cred& cred, const Perm& stat, Iattr* attr) {
  if (cred.is_root()) return Errno();
  const uint32_t valid = attr->ia_valid;
  const bool owner = cred.uid == stat.uid;
  if ((valid & Iattr::kUid) != 0 && !(owner && attr->ia_uid == stat.uid)) return Errno(EPERM);
  const bool group_allowed = owner && (attr->ia_gid == stat.gid || cred.in_group(attr->ia_gid));
  if ((valid & Iattr::kGid) != 0 && !group_allowed) return Errno(EPERM);
  if ((valid & Iattr::kMode) != 0) {
    if (!owner) return Errno(EPERM);
    const uint32_t gid = (valid & Iattr::kGid) != 0 ? attr->ia_gid : stat.gid;
    if (!cred.in_group(gid)) attr->ia_mode &= ~uint32_t{S_ISGID};
  }
  const uint32_t times = valid & (Iattr::kAtime | Iattr::kMtime);
  const uint32_t now = Iattr::kAtimeNow | Iattr::kMtimeNow;
  if (times != 0 && !owner) {
    // Only "both now" is allowed to others, if they may write.
    const bool both_now = (valid & now) == now;
    if (!both_now) return Errno(EPERM);
    return generic_permission(cred, stat, MAY_WRITE);
  }
  return Errno();
}

Result<void> notify_change(const CallContext& ctx, Inode& inode, Iattr attr, File* file) {
  if (attr.ia_valid == 0) return ok_result();
  MYFS_TRY(Result<void>(map_owner(inode.i_sb(), &attr)));
  {
    RcuReadGuard guard;
    Perm perm;
    if (inode.perm_hit(&perm) && inode.i_sb().s_validity.alive()) {
      if (Errno error = setattr_prepare(*Acting(*ctx.cred, inode.i_sb()), perm, &attr); !error.ok())
        return error;
    }
  }
  const uint64_t weight = Inode::kChanging +
                          ((attr.ia_valid & kPermParts) != 0 ? Inode::kChangingPerm : 0) +
                          ((attr.ia_valid & Iattr::kSize) != 0 ? Inode::kChangingData : 0);
  if ((attr.ia_valid & Iattr::kSize) != 0) {
    const uint64_t open_id = file != nullptr ? file->f_open_id : 0;
    MYFS_TRY(inode.i_fop().break_lease(ctx, inode, open_id, true, true));
  }
  WriteLock lock(inode.i_rwsem);
  if ((attr.ia_valid & Iattr::kSize) != 0) {
    MYFS_TRY(mmap_changing(ctx, inode, attr.ia_size, attr.ia_size));
  }
  Result<void> done;
  {
    ChangeInFlight change({}, {&inode}, weight);
    done = inode.i_op().setattr(change.context(ctx), inode, attr, file);
  }
  if ((attr.ia_valid & Iattr::kSize) != 0) mmap_changed(ctx, inode, attr.ia_size, attr.ia_size);
  return done;
}

Result<void> vfs_setattr(const CallContext& ctx, const Path& path, Iattr attr, File* file) {
  Inode& inode = path.inode();
  if ((attr.ia_valid & Iattr::kSize) != 0) {
    if (inode.is_dir()) return Errno(EISDIR);
    if (!inode.is_regular()) return Errno(EINVAL);
    MYFS_TRY(check_length(static_cast<int64_t>(attr.ia_size)));
    if (file != nullptr && !file->may_write()) return Errno(EINVAL);
  }
  MYFS_ASSIGN(const WantWrite writing, WantWrite::get(ctx, path));
  if ((attr.ia_valid & Iattr::kMode) != 0 && inode.is_symlink()) return Errno(EOPNOTSUPP);
  if ((attr.ia_valid & Iattr::kSize) != 0 && file == nullptr) {
    MYFS_TRY(inode_permission(ctx, inode, MAY_WRITE));
  }
  const bool chowns = (attr.ia_valid & (Iattr::kUid | Iattr::kGid)) != 0;
  if (chowns && !inode.is_dir()) attr.ia_valid |= Iattr::kKillPriv;
  attr.ia_mode &= kModeMask;
  // "Leave it" is said by the bits here.
  if ((attr.ia_valid & Iattr::kUid) != 0 && attr.ia_uid == kNoId) return Errno(EINVAL);
  if ((attr.ia_valid & Iattr::kGid) != 0 && attr.ia_gid == kNoId) return Errno(EINVAL);
  return notify_change(ctx, inode, attr, file);
}

Result<void> vfs_chmod(const CallContext& ctx, TaskStruct& task, At at, uint32_t mode,
                       int at_flags) {
  return retry_estale([&]() -> Result<void> {
    MYFS_ASSIGN(WalkResult found, lookup_for_change(ctx, task, at, at_flags));
    MYFS_ASSIGN(const WantWrite writing, WantWrite::get(ctx, found.path));
    return chmod_inode(ctx, found.path.inode(), mode, nullptr);
  });
}

Result<void> vfs_fchmod(const CallContext& ctx, TaskStruct& task, int fd, uint32_t mode) {
  MYFS_ASSIGN(Ref<File> file, file_for_change(task, fd));
  MYFS_ASSIGN(const WantWrite writing, WantWrite::get(ctx, file->f_path()));
  return chmod_inode(ctx, file->f_inode(), mode, file.get());
}

Result<void> vfs_chown(const CallContext& ctx, TaskStruct& task, At at, uint32_t uid, uint32_t gid,
                       int at_flags) {
  return retry_estale([&]() -> Result<void> {
    MYFS_ASSIGN(WalkResult found, lookup_for_change(ctx, task, at, at_flags));
    MYFS_ASSIGN(const WantWrite writing, WantWrite::get(ctx, found.path));
    return chown_inode(ctx, found.path.inode(), uid, gid, nullptr);
  });
}

Result<void> vfs_fchown(const CallContext& ctx, TaskStruct& task, int fd, uint32_t uid,
                        uint32_t gid) {
  MYFS_ASSIGN(Ref<File> file, file_for_change(task, fd));
  MYFS_ASSIGN(const WantWrite writing, WantWrite::get(ctx, file->f_path()));
  return chown_inode(ctx, file->f_inode(), uid, gid, file.get());
}

Result<void> vfs_truncate(const CallContext& ctx, TaskStruct& task, At at, int64_t length) {
  if (length < 0) return Errno(EINVAL);
  return retry_estale([&]() -> Result<void> {
    MYFS_ASSIGN(WalkResult found, path_lookup(ctx, task, at, LOOKUP_FOLLOW));
    Inode& inode = found.path.inode();
    if (inode.is_dir()) return Errno(EISDIR);
    if (!inode.is_regular()) return Errno(EINVAL);
    MYFS_ASSIGN(const WantWrite writing, WantWrite::get(ctx, found.path));
    MYFS_TRY(inode_permission(ctx, inode, MAY_WRITE));
    MYFS_TRY(check_length(length));
    return truncate_inode(ctx, inode, length, nullptr);
  });
}

Result<void> vfs_ftruncate(const CallContext& ctx, TaskStruct& task, int fd, int64_t length) {
  if (length < 0) return Errno(EINVAL);
  RefPtr<File> file = task.files.fget(fd);
  if (!file || (file->f_mode & File::kPath) != 0) return Errno(EBADF);
  if (!file->may_write() || !file->f_inode().is_regular()) return Errno(EINVAL);
  MYFS_TRY(check_length(length));
  if (locks_lost_slow(*file, task.lock_owner)) return Errno(EIO);
  MYFS_ASSIGN(const WantWrite writing, WantWrite::get(ctx, *file));
  return truncate_inode(ctx, file->f_inode(), length, file.get());
}

Result<void> vfs_utimens(const CallContext& ctx, TaskStruct& task, At at, const timespec* times,
                         int at_flags) {
  MYFS_ASSIGN(Iattr attr, utimes_attr(times));
  // Nothing to change: the kernel does not even look at the path.
  if (attr.ia_valid == 0) return ok_result();
  return retry_estale([&]() -> Result<void> {
    MYFS_ASSIGN(WalkResult found, lookup_for_change(ctx, task, at, at_flags));
    MYFS_ASSIGN(const WantWrite writing, WantWrite::get(ctx, found.path));
    return notify_change(ctx, found.path.inode(), attr, nullptr);
  });
}

Result<void> vfs_futimens(const CallContext& ctx, TaskStruct& task, int fd, const timespec* times) {
  MYFS_ASSIGN(Iattr attr, utimes_attr(times));
  if (attr.ia_valid == 0) return ok_result();
  MYFS_ASSIGN(Ref<File> file, file_for_change(task, fd));
  MYFS_ASSIGN(const WantWrite writing, WantWrite::get(ctx, file->f_path()));
  return notify_change(ctx, file->f_inode(), attr, file.get());
}

}  // namespace myfs::fs
