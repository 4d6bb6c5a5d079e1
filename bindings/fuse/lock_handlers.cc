// Requests about locks.

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "bindings/fuse/request.h"

namespace bridge {

namespace {

// Of open file descriptions, too, the kernel tells the owner, and not that it is one. The top bit
// marks others.
int lock_file(const myfs_call* call, myfs_file* file, int cmd, uint64_t owner, struct flock* lock) {
  owner &= UINT64_MAX >> 1;
  lock->l_whence = SEEK_SET;
  return myfs_ll_lock(file, call, cmd, owner, lock->l_pid, lock);
}

// Who waits for a lock would keep a thread from the requests that free it: he gets one of his own.
// `attempt(request, waits)` makes the call.
template <typename Attempt>
void serve(fuse_req_t req, bool waits, Attempt attempt) {
  {
    Request request(req);
    const int result = attempt(request, false);
    if (!waits || result != -EAGAIN) return request.error(result);
    request.leave();
  }
  Waits& all = static_cast<Bridge*>(fuse_req_userdata(req))->waits;
  const bool started = all.start([req, &all, attempt] {
    Request request(req, Request::Interrupt::kAnySignal);
    if (!all.enter(request.call()->cancel)) return request.error(-ENOTCONN);
    const int result = attempt(request, true);
    all.leave(request.call()->cancel);
    request.error(result);
  });
  if (!started) Request(req).error(-ENOLCK);
}

void on_getlk(fuse_req_t req, fuse_ino_t, fuse_file_info* info, struct flock* lock) {
  Request request(req);
  const int result =
      lock_file(request.call(), FileHandle::of(info)->file, F_GETLK, info->lock_owner, lock);
  if (result < 0) return request.error(result);
  request.lock(*lock);
}

void on_setlk(fuse_req_t req, fuse_ino_t, fuse_file_info* info, struct flock* lock, int sleeps) {
  FileHandle& handle = *FileHandle::of(info);
  if (lock->l_type != F_UNLCK) {
    std::lock_guard guard(handle.mutex);
    handle.lock_owners.insert(info->lock_owner);
  }
  serve(
      req, sleeps != 0,
      [file = handle.file, owner = info->lock_owner, wanted = *lock](Request& request, bool waits) {
        struct flock copy = wanted;
        return lock_file(request.call(), file, waits ? F_SETLKW : F_SETLK, owner, &copy);
      });
}

void on_flock(fuse_req_t req, fuse_ino_t, fuse_file_info* info, int operation) {
  serve(req, (operation & LOCK_NB) == 0,
        [file = FileHandle::of(info)->file, operation](Request& request, bool waits) {
          return myfs_ll_flock(file, request.call(), waits ? operation : operation | LOCK_NB);
        });
}

}  // namespace

void unlock_all(FileHandle& handle, uint64_t owner, int64_t limit_ms) {
  {
    std::lock_guard guard(handle.mutex);
    handle.lock_owners.erase(owner);
  }
  const myfs_call call{
      .size = sizeof call, .cred = nullptr, .deadline_ms = limit_ms, .cancel = nullptr};
  struct flock all {};
  all.l_type = F_UNLCK;
  lock_file(&call, handle.file, F_SETLK, owner, &all);
}

void unlock_owners(FileHandle& handle) {
  std::set<uint64_t> owners;
  {
    std::lock_guard guard(handle.mutex);
    owners = handle.lock_owners;
  }
  for (uint64_t owner : owners) unlock_all(handle, owner, kUnlock_ms);
}

void set_lock_handlers(fuse_lowlevel_ops* ops) {
  ops->getlk = on_getlk;
  ops->setlk = on_setlk;
  ops->flock = on_flock;
}

}  // namespace bridge
