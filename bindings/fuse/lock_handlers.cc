// Requests about locks.

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "bindings/fuse/request.h"

namespace bridge {

namespace {

int lock_file(Request& request, myfs_file* file, int cmd, uint64_t owner, struct flock* lock) {
  // Of open file descriptions, too, the kernel tells the owner. The top bit marks others.
  owner &= UINT64_MAX >> 1;
  lock->l_whence = SEEK_SET;
  return myfs_ll_lock(file, request.call(), cmd, owner, lock->l_pid, lock);
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
  all.start([req, &all, attempt] {
    Request request(req, Request::Interrupt::kAnySignal);
    if (!all.enter(request.call()->cancel)) return request.error(-ENOTCONN);
    const int result = attempt(request, true);
    all.leave(request.call()->cancel);
    request.error(result);
  });
}

void on_getlk(fuse_req_t req, fuse_ino_t, fuse_file_info* info, struct flock* lock) {
  Request request(req);
  const int result =
      lock_file(request, FileHandle::of(info)->file, F_GETLK, info->lock_owner, lock);
  if (result < 0) return request.error(result);
  request.lock(*lock);
}

void on_setlk(fuse_req_t req, fuse_ino_t, fuse_file_info* info, struct flock* lock, int sleeps) {
  serve(req, sleeps != 0,
        [file = FileHandle::of(info)->file, owner = info->lock_owner, wanted = *lock](
            Request& request, bool waits) {
          struct flock copy = wanted;
          return lock_file(request, file, waits ? F_SETLKW : F_SETLK, owner, &copy);
        });
}

void on_flock(fuse_req_t req, fuse_ino_t, fuse_file_info* info, int operation) {
  serve(req, (operation & LOCK_NB) == 0,
        [file = FileHandle::of(info)->file, operation](Request& request, bool waits) {
          return myfs_ll_flock(file, request.call(), waits ? operation : operation | LOCK_NB);
        });
}

}  // namespace

int unlock_all(Request& request, myfs_file* file, uint64_t owner) {
  struct flock all {};
  all.l_type = F_UNLCK;
  return lock_file(request, file, F_SETLK, owner, &all);
}

void set_lock_handlers(fuse_lowlevel_ops* ops) {
  ops->getlk = on_getlk;
  ops->setlk = on_setlk;
  ops->flock = on_flock;
}

}  // namespace bridge
