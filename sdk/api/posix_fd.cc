// Descriptors.

#include <fcntl.h>
#include <poll.h>

#include <algorithm>

#include "sdk/api/call_scope.h"
#include "sdk/base/clock.h"
#include "sdk/base/limits.h"
#include "sdk/fs/open.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

namespace {

// What poll() finds: nothing here ever has to be waited for.
short poll_one(const fs::TaskStruct& task, const pollfd& wanted) {
  constexpr int kReady = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM;
  if (wanted.fd < 0) return 0;
  const RefPtr<fs::File> file = task.files.fget(wanted.fd);
  if (!file || (file->f_mode & fs::File::kPath) != 0) return POLLNVAL;
  return static_cast<short>(wanted.events & kReady);
}

// Until the time is over: nobody was interested in what is ready.
Result<void> wait_out(const CallContext& ctx, int timeout_ms) {
  int64_t until = timeout_ms < 0 ? kNoDeadline : deadline_after_ns(timeout_ms * kNsPerMs);
  const bool own = until <= ctx.deadline_ns;
  until = std::min(until, ctx.deadline_ns);
  Event cancelled;
  CancelToken::Listener listener(ctx.cancel, [&] { cancelled.set(); });
  if (cancelled.wait_until(until)) return Errno(ECANCELED);
  return own ? Errno() : Errno(ETIMEDOUT);
}

}  // namespace

extern "C" {

int myfs_dup3(myfs_task* task, int fd, int to, int flags) {
  CallScope scope(task, nullptr, "dup3");
  return scope.run([&] { return fs::vfs_dup3(scope.ctx(), scope.task(), fd, to, flags); });
}

int myfs_fcntl(myfs_task* task, int fd, int cmd, int64_t arg) {
  switch (cmd) {
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
      return myfs_lock(task, fd, cmd, reinterpret_cast<struct flock*>(arg));
    default:
      break;
  }
  CallScope scope(task, nullptr, "fcntl");
  return scope.run([&] { return fs::vfs_fcntl(scope.ctx(), scope.task(), fd, cmd, arg); });
}

int myfs_close_range_x(myfs_task* task, const myfs_call* call, unsigned first, unsigned last,
                       unsigned flags) {
  CallScope scope(task, call, "close_range");
  return scope.run(
      [&] { return fs::vfs_close_range(scope.ctx(), scope.task(), first, last, flags); });
}
int myfs_close_range(myfs_task* task, unsigned first, unsigned last, unsigned flags) {
  return myfs_close_range_x(task, nullptr, first, last, flags);
}

int myfs_poll_x(myfs_task* task, const myfs_call* call, struct pollfd* fds, nfds_t count,
                int timeout_ms) {
  CallScope scope(task, call, "poll");
  return scope.run([&]() -> Result<int> {
    if (count > static_cast<nfds_t>(kDescriptorsMax) || (fds == nullptr && count > 0)) {
      return fail(Errno(EINVAL), "poll: 0..65536 descriptors");
    }
    int found = 0;
    for (nfds_t i = 0; i < count; ++i) {
      fds[i].revents = poll_one(scope.task(), fds[i]);
      if (fds[i].revents != 0) ++found;
    }
    if (found == 0 && timeout_ms != 0) MYFS_TRY(wait_out(scope.ctx(), timeout_ms));
    return found;
  });
}
int myfs_poll(myfs_task* task, struct pollfd* fds, nfds_t count, int timeout_ms) {
  return myfs_poll_x(task, nullptr, fds, count, timeout_ms);
}

}  // extern "C"
