// Attr: the calls that change attributes.
// Kernel counterpart: fs/attr.c (setattr_prepare, notify_change), chmod, chown, truncate
// (fs/open.c), fs/utimes.c.
// Differs: setattr_prepare runs only on attributes known to be true; the server repeats it.
// Thread safety: all.
// Lock rank: i_rwsem of the inode exclusive.
#pragma once

#include <cstdint>

#include "sdk/base/call_context.h"
#include "sdk/base/kstat.h"
#include "sdk/base/result.h"
#include "sdk/fs/inode.h"
#include "sdk/fs/namei.h"

namespace myfs::fs {

inline constexpr uint32_t kNoId = UINT32_MAX;  // chown: leave it

// Errno{}, EPERM, EACCES by the rules of chmod, chown, utimes for an inode with `stat`. May clear
// S_ISGID in attr.
Errno setattr_prepare(const Cred& cred, const Perm& stat, Iattr* attr);
// The server's word, or the rule's, whichever comes first. `file`: through which descriptor, or
// null.
Result<void> notify_change(const CallContext& ctx, Inode& inode, Iattr attr, File* file);

// The change that a caller asks for who holds the place, or has it open as `file`: with the checks
// of chmod, chown, truncate and utimes on the way. EROFS, EISDIR, EINVAL (size of what is no file),
// EFBIG, EOPNOTSUPP (mode of a symbolic link).
Result<void> vfs_setattr(const CallContext& ctx, const Path& path, Iattr attr, File* file);

Result<void> vfs_chmod(const CallContext& ctx, TaskStruct& task, At at, uint32_t mode,
                       int at_flags);
Result<void> vfs_fchmod(const CallContext& ctx, TaskStruct& task, int fd, uint32_t mode);
Result<void> vfs_chown(const CallContext& ctx, TaskStruct& task, At at, uint32_t uid, uint32_t gid,
                       int at_flags);
Result<void> vfs_fchown(const CallContext& ctx, TaskStruct& task, int fd, uint32_t uid,
                        uint32_t gid);
Result<void> vfs_truncate(const CallContext& ctx, TaskStruct& task, At at, int64_t length);
Result<void> vfs_ftruncate(const CallContext& ctx, TaskStruct& task, int fd, int64_t length);
// times[0] atime, [1] mtime; tv_nsec UTIME_NOW, UTIME_OMIT; null: both now.
Result<void> vfs_utimens(const CallContext& ctx, TaskStruct& task, At at, const timespec* times,
                         int at_flags);
Result<void> vfs_futimens(const CallContext& ctx, TaskStruct& task, int fd, const timespec* times);

}  // namespace myfs::fs
