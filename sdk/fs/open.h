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

// How to open: flags O_*; mode of a new file, before the umask; resolve as below. [struct open_how]
struct OpenHow {
  uint64_t flags = 0;
  uint64_t mode = 0;
  uint64_t resolve = 0;
};
enum Resolve : uint64_t {    // RESOLVE_* of <linux/openat2.h>
  kResolveNoXdev = 1,        // EXDEV at the border of a mount
  kResolveNoMagiclinks = 2,  // there are none
  kResolveNoSymlinks = 4,    // ELOOP at a symbolic link
  kResolveBeneath = 8,       // EXDEV where the path leaves the directory that it starts from
  kResolveInRoot = 16,       // that directory is the root
  kResolveCached = 32,       // EAGAIN where the walk would have to ask, and for what makes or cuts
};

// Of f_flags: opened to be executed [__FMODE_EXEC].
inline constexpr uint32_t kOpenExec = 040;

// As open(2): what flags and mode do not know is ignored.
Result<int> vfs_open(const CallContext& ctx, TaskStruct& task, At at, uint32_t flags,
                     uint32_t mode);
// As openat2(2): what is not known, or makes no sense, is EINVAL.
Result<int> vfs_openat2(const CallContext& ctx, TaskStruct& task, At at, const OpenHow& how);
// The same without a descriptor.
Result<Ref<File>> filp_open(const CallContext& ctx, TaskStruct& task, At at, uint32_t flags,
                            uint32_t mode);
// The same with a umask of the caller's own.
Result<Ref<File>> filp_open(const CallContext& ctx, TaskStruct& task, At at, uint32_t flags,
                            uint32_t mode, uint32_t umask);
// [dentry_open] Opens what a place holds, without a walk. flags: O_*, kOpenExec; nothing is
// created.
Result<Ref<File>> dentry_open(const CallContext& ctx, Path path, uint32_t flags);
// The descriptor is free whatever the result; the result is that of flush.
Result<void> vfs_close(const CallContext& ctx, TaskStruct& task, int fd);
Result<int> vfs_dup(TaskStruct& task, int fd, int lowest, bool close_on_exec = false);
Result<int> vfs_dup2(const CallContext& ctx, TaskStruct& task, int fd, int to);
// flags: 0 or O_CLOEXEC. EINVAL: fd == to.
Result<int> vfs_dup3(const CallContext& ctx, TaskStruct& task, int fd, int to, int flags);
// Closes first..last, or marks them close-on-exec (CLOSE_RANGE_CLOEXEC); the first failure of a
// close.
Result<void> vfs_close_range(const CallContext& ctx, TaskStruct& task, unsigned first,
                             unsigned last, unsigned flags);
// F_GETFL, F_SETFL.
Result<uint32_t> vfs_get_flags(const TaskStruct& task, int fd);
Result<void> vfs_set_flags(const CallContext& ctx, const TaskStruct& task, int fd, uint32_t flags);
// F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL; others: EINVAL.
Result<int> vfs_fcntl(const CallContext& ctx, TaskStruct& task, int fd, int cmd, int64_t arg);

Result<void> vfs_chdir(const CallContext& ctx, TaskStruct& task, At at);
Result<void> vfs_fchdir(const CallContext& ctx, TaskStruct& task, int fd);
Result<void> vfs_chroot(const CallContext& ctx, TaskStruct& task, At at);
Result<std::string> vfs_getcwd(const CallContext& ctx, const TaskStruct& task);
// The path without symbolic links and dots; of an empty path with a descriptor: where it is.
Result<std::string> vfs_realpath(const CallContext& ctx, const TaskStruct& task, At at);

}  // namespace myfs::fs
