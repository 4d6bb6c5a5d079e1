// Locks of files.

#include <unistd.h>

#include "sdk/api/call_scope.h"
#include "sdk/fs/locks.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

extern "C" {

int myfs_flock_x(myfs_task* task, const myfs_call* call, int fd, int operation) {
  CallScope scope(task, call, "flock");
  return scope.run([&] { return fs::vfs_flock(scope.ctx(), scope.task(), fd, operation); });
}
int myfs_flock(myfs_task* task, int fd, int operation) {
  return myfs_flock_x(task, nullptr, fd, operation);
}

int myfs_lock_x(myfs_task* task, const myfs_call* call, int fd, int cmd, struct flock* lock) {
  CallScope scope(task, call, "lock");
  return scope.run([&]() -> Result<void> {
    if (lock == nullptr) return fail(Errno(EINVAL), "the lock is null");
    return fs::vfs_fcntl_lock(scope.ctx(), scope.task(), fd, cmd, lock);
  });
}
int myfs_lock(myfs_task* task, int fd, int cmd, struct flock* lock) {
  return myfs_lock_x(task, nullptr, fd, cmd, lock);
}

int myfs_lockf_x(myfs_task* task, const myfs_call* call, int fd, int cmd, off_t size) {
  CallScope scope(task, call, "lockf");
  return scope.run([&]() -> Result<void> {
    struct flock lock {};
    lock.l_type = static_cast<short>(cmd == F_ULOCK ? F_UNLCK : F_WRLCK);
    lock.l_whence = SEEK_CUR;
    lock.l_len = size;
    switch (cmd) {
      case F_ULOCK:
      case F_TLOCK:
        return fs::vfs_fcntl_lock(scope.ctx(), scope.task(), fd, F_SETLK, &lock);
      case F_LOCK:
        return fs::vfs_fcntl_lock(scope.ctx(), scope.task(), fd, F_SETLKW, &lock);
      case F_TEST:
        lock.l_type = F_RDLCK;
        MYFS_TRY(fs::vfs_fcntl_lock(scope.ctx(), scope.task(), fd, F_GETLK, &lock));
        return lock.l_type == F_UNLCK ? Errno() : Errno(EACCES);
      default:
        return fail(Errno(EINVAL), "lockf: must be F_ULOCK, F_LOCK, F_TLOCK or F_TEST");
    }
  });
}
int myfs_lockf(myfs_task* task, int fd, int cmd, off_t size) {
  return myfs_lockf_x(task, nullptr, fd, cmd, size);
}

}  // extern "C"
