// TaskStruct: on whose behalf the VFS works: root and cwd, descriptors, credentials, name space.
// Kernel counterpart: struct task_struct (fs, files, cred, nsproxy).
// Thread safety: all; many threads may share one task.
// Owns / is owned by: owned by the embedder's myfs_task.
#pragma once

#include <atomic>
#include <memory>
#include <string_view>

#include "sdk/base/call_context.h"
#include "sdk/base/ref.h"
#include "sdk/fs/fdtable.h"
#include "sdk/fs/fs_struct.h"
#include "sdk/fs/mmap.h"
#include "sdk/fs/mount.h"

namespace myfs::fs {

class TaskStruct {
 public:
  explicit TaskStruct(CredRef cred);
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
  // EBUSY: in use. EINVAL: nothing is mounted there. `force`: detaches whatever uses it;
  // `shutdown`: and ends all calls on it.
  Result<void> umount(const CallContext& ctx, std::string_view at, bool force,
                      bool shutdown = false);
  // Closes every descriptor, flushing each.
  Result<void> exit_files(const CallContext& ctx);

 private:
  mutable Mutex cred_mutex_{LockRank::kFdTable};
  CredRef cred_ ABSL_GUARDED_BY(cred_mutex_);
};

}  // namespace myfs::fs
