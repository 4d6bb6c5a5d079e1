// TaskStruct: on whose behalf the VFS works: root and cwd, descriptors, credentials, name space.
// Kernel counterpart: struct task_struct (fs, files, cred, nsproxy).
// Thread safety: all; many threads may share one task.
// Owns / is owned by: owned by the embedder's myfs_task.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string_view>

#include "sdk/base/call_context.h"
#include "sdk/base/ref.h"
#include "sdk/fs/fdtable.h"
#include "sdk/fs/fs_struct.h"
#include "sdk/fs/mmap.h"
#include "sdk/fs/mount.h"

namespace myfs::fs {

struct At;
struct Reconfigure;

class TaskStruct {
 public:
  explicit TaskStruct(CredRef cred);
  // [clone with CLONE_NEWNS] What a child has of its parent: a copy of the name space, root,
  // working directory and umask, and no descriptors. ENOSPC (kMountsMax).
  struct Scope {
    Ref<MntNamespace> ns;
    Path root, pwd;
    uint32_t umask;
  };
  static Result<Scope> copy_scope(const TaskStruct& of);
  TaskStruct(CredRef cred, Scope scope);
  ~TaskStruct();  // exit_files, then the name space goes
  TaskStruct(const TaskStruct&) = delete;
  TaskStruct& operator=(const TaskStruct&) = delete;

  FsStruct fs;
  FdTable files;
  const Ref<MntNamespace> nsproxy;
  MmStruct mm;
  // [current->files] Whose its POSIX locks are; unique in the process.
  const uint64_t lock_owner;

  CredRef cred() const;
  void set_cred(CredRef cred);

  // The first mount must be at "/" (ENOENT otherwise); it becomes root and cwd. Others need a
  // directory.
  Result<Ref<Mount>> mount(const CallContext& ctx, Ref<SuperBlock> sb, std::string_view at,
                           bool read_only);
  // What MntNamespace says of them, for paths; symbolic links are followed.
  Result<void> bind(const CallContext& ctx, At from, At at, bool recursive);
  Result<void> move_mount(const CallContext& ctx, At from, At at);
  Result<void> mount_setattr(const CallContext& ctx, At at, std::optional<bool> read_only,
                             std::optional<Propagation> propagation, bool recursive);
  // [MS_REMOUNT] Of the super block that is mounted there; read_only of the mount, too. EINVAL: no
  // mount point.
  Result<void> remount(const CallContext& ctx, At at, const Reconfigure& change);
  // [FIFREEZE, FITHAW] Of the super block of the place.
  Result<void> freeze(const CallContext& ctx, At at);
  Result<void> thaw(const CallContext& ctx, At at);
  // `detach`: whoever uses it, with all mounts below. `force`: whoever uses it; and if that was
  // the last mount of its super block, what waits there ends, and later calls fail.
  Result<void> umount(const CallContext& ctx, std::string_view at, bool detach, bool force = false);
  // Closes every descriptor, flushing each.
  Result<void> exit_files(const CallContext& ctx);

 private:
  mutable Mutex cred_mutex_{LockRank::kFdTable};
  CredRef cred_ ABSL_GUARDED_BY(cred_mutex_);
};

}  // namespace myfs::fs
