// Open: from a path to a descriptor and back to none.
// Kernel counterpart: do_sys_openat2, path_openat, do_open, filp_close (fs/open.c, fs/namei.c).
// Thread safety: all.
// Lock rank: O_CREAT takes i_rwsem of the directory exclusive when the name has to be made.
#pragma once

#include <cstdint>

#include "sdk/base/call_context.h"
#include "sdk/base/result.h"
#include "sdk/fs/file.h"
#include "sdk/fs/namei.h"

namespace myfs::fs {

// flags: O_*. mode: of a new file, before the umask.
Result<int> vfs_open(const CallContext& ctx, TaskStruct& task, At at, uint32_t flags,
                     uint32_t mode);
// The same without a descriptor.
Result<Ref<File>> filp_open(const CallContext& ctx, TaskStruct& task, At at, uint32_t flags,
                            uint32_t mode);
// The same with a umask of the caller's own.
Result<Ref<File>> filp_open(const CallContext& ctx, TaskStruct& task, At at, uint32_t flags,
                            uint32_t mode, uint32_t umask);
// [dentry_open] Opens what a place holds, without a walk. flags: O_*; nothing is created.
Result<Ref<File>> dentry_open(const CallContext& ctx, Path path, uint32_t flags);
// The descriptor is free whatever the result; the result is that of flush.
Result<void> vfs_close(const CallContext& ctx, TaskStruct& task, int fd);
Result<int> vfs_dup(TaskStruct& task, int fd, int lowest);
Result<int> vfs_dup2(const CallContext& ctx, TaskStruct& task, int fd, int to);
// F_GETFL, F_SETFL.
Result<uint32_t> vfs_get_flags(const TaskStruct& task, int fd);
Result<void> vfs_set_flags(const TaskStruct& task, int fd, uint32_t flags);

Result<void> vfs_chdir(const CallContext& ctx, TaskStruct& task, At at);
Result<void> vfs_fchdir(const CallContext& ctx, TaskStruct& task, int fd);
Result<void> vfs_chroot(const CallContext& ctx, TaskStruct& task, At at);
Result<std::string> vfs_getcwd(const CallContext& ctx, const TaskStruct& task);

}  // namespace myfs::fs
