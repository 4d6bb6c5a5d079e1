// Bytes between files of a task and descriptors of the process.

#include <fcntl.h>

#include "sdk/api/call_scope.h"
#include "sdk/fs/splice.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

namespace {
constexpr unsigned kKnown =
    SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT | MYFS_SPLICE_IN;
}  // namespace

extern "C" {

ssize_t myfs_splice_x(myfs_task* task, const myfs_call* call, int fd, off_t* offset, int kernel_fd,
                      off_t* kernel_offset, size_t size, unsigned flags) {
  CallScope scope(task, call, "splice");
  return scope.run([&]() -> Result<size_t> {
    if ((flags & ~kKnown) != 0) return fail(Errno(EINVAL), "splice: an unknown flag");
    const bool into_file = (flags & MYFS_SPLICE_IN) != 0;
    MYFS_ASSIGN(const size_t count, fs::vfs_splice(scope.ctx(), scope.task(),
                                                   {.fd = fd,
                                                    .offset = offset,
                                                    .kernel_fd = kernel_fd,
                                                    .kernel_offset = kernel_offset,
                                                    .length = size,
                                                    .into_file = into_file,
                                                    .nonblocking = (flags & SPLICE_F_NONBLOCK) != 0,
                                                    .more = (flags & SPLICE_F_MORE) != 0}));
    (into_file ? task->bytes_written : task->bytes_read).add(static_cast<int64_t>(count));
    return count;
  });
}
ssize_t myfs_splice(myfs_task* task, int fd, off_t* offset, int kernel_fd, off_t* kernel_offset,
                    size_t size, unsigned flags) {
  return myfs_splice_x(task, nullptr, fd, offset, kernel_fd, kernel_offset, size, flags);
}

}  // extern "C"
