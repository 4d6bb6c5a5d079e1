// Locks, by open file.

#include "sdk/api/lowlevel_call.h"
#include "sdk/fs/locks.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

extern "C" {

int myfs_ll_lock(myfs_file* file, const myfs_call* call, int cmd, uint64_t owner, pid_t pid,
                 struct flock* lock) {
  CallScope scope(api::task_of(file), call, "lock");
  return scope.run([&]() -> Result<void> {
    if (lock == nullptr) return fail(Errno(EINVAL), "the lock is null");
    return fs::fcntl_lock_file(scope.ctx(), *file->file, cmd, owner, pid, lock);
  });
}

int myfs_ll_flock(myfs_file* file, const myfs_call* call, int operation) {
  CallScope scope(api::task_of(file), call, "flock");
  return scope.run([&] { return fs::flock_lock_file(scope.ctx(), *file->file, operation); });
}

}  // extern "C"
