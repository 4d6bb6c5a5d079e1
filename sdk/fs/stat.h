// Stat: attributes of a place or of an open file, of a file system, and whether access is allowed.
// Kernel counterpart: fs/stat.c (vfs_statx, vfs_getattr), fs/statfs.c, faccessat (fs/open.c).
// Thread safety: all. Lock rank: none on a hit.
#pragma once

#include "sdk/base/call_context.h"
#include "sdk/base/kstat.h"
#include "sdk/base/result.h"
#include "sdk/fs/namei.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

// at_flags: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_STATX_FORCE_SYNC, AT_NO_AUTOMOUNT.
Result<void> vfs_stat(const CallContext& ctx, const TaskStruct& task, At at, int at_flags,
                      Kstat* stat);
Result<void> vfs_fstat(const CallContext& ctx, const TaskStruct& task, int fd, Kstat* stat);
// From the cache if the lease allows, else asks.
Result<Kstat> vfs_getattr(const CallContext& ctx, Inode& inode, bool force_sync = false);
// mode: F_OK or R_OK|W_OK|X_OK; by ctx.cred (AT_EACCESS is the only kind). at_flags:
// AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH.
Result<void> vfs_access(const CallContext& ctx, const TaskStruct& task, At at, int mode,
                        int at_flags);
Result<Kstatfs> vfs_statfs(const CallContext& ctx, const TaskStruct& task, At at);
Result<Kstatfs> vfs_statfs_at(const CallContext& ctx, const Path& place);
Result<Kstatfs> vfs_fstatfs(const CallContext& ctx, const TaskStruct& task, int fd);

}  // namespace myfs::fs
