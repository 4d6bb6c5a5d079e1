// Rows of the table of asynchronous calls: ranges, mappings, descriptors, locks, what a file system
// is.
#include <poll.h>

#include "sdk/api/async_op.h"
#include "sdk/base/limits.h"

using namespace myfs;  // the facade's own rooms only
using api::Fd;
using api::submit;
using api::Way;

namespace {

// Calls without a twin.
int dup3_call(myfs_task* task, const myfs_call*, int fd, int to, int flags) {
  return myfs_dup3(task, fd, to, flags);
}
int fcntl_call(myfs_task* task, const myfs_call*, int fd, int cmd, int64_t arg) {
  return myfs_fcntl(task, fd, cmd, arg);
}

// The descriptors with what the submission took them for.
class OwnedPolls {
 public:
  OwnedPolls(fs::PinnedFds& pins, pollfd* fds, nfds_t count)
      : fds_(fds), pinned_(fds, fds + count) {
    for (pollfd& wanted : pinned_) wanted.fd = pins.pin(wanted.fd);
  }
  int poll(myfs_task* task, const myfs_call* call, int timeout_ms) {
    const int result = myfs_poll_x(task, call, pinned_.data(), pinned_.size(), timeout_ms);
    for (size_t i = 0; i < pinned_.size(); ++i) fds_[i].revents = pinned_[i].revents;
    return result;
  }

 private:
  pollfd* const fds_;
  std::vector<pollfd> pinned_;
};

}  // namespace

extern "C" {

int myfs_async_fallocate(myfs_async* queue, const myfs_op* op, int fd, int mode, off_t offset,
                         off_t length) {
  return submit<myfs_fallocate_x>(queue, op, "fallocate", Way::kWorker, Fd{fd}, mode, offset,
                                  length);
}

int myfs_async_posix_fadvise(myfs_async* queue, const myfs_op* op, int fd, off_t offset,
                             off_t length, int advice) {
  return submit<myfs_posix_fadvise_x>(queue, op, "posix_fadvise", Way::kWorker, Fd{fd}, offset,
                                      length, advice);
}

int myfs_async_sync_file_range(myfs_async* queue, const myfs_op* op, int fd, off_t offset,
                               off_t length, unsigned flags) {
  return submit<myfs_sync_file_range_x>(queue, op, "sync_file_range", Way::kWorker, Fd{fd}, offset,
                                        length, flags);
}

int myfs_async_syncfs(myfs_async* queue, const myfs_op* op, int fd) {
  return submit<myfs_syncfs_x>(queue, op, "syncfs", Way::kWorker, Fd{fd});
}

int myfs_async_mmap(myfs_async* queue, const myfs_op* op, void* hint, size_t length, int prot,
                    int flags, int fd, off_t offset, void** address) {
  return submit<myfs_mmap_x>(queue, op, "mmap", Way::kWorker, hint, length, prot, flags, Fd{fd},
                             offset, address);
}

int myfs_async_msync(myfs_async* queue, const myfs_op* op, void* address, size_t length,
                     int flags) {
  return submit<myfs_msync_x>(queue, op, "msync", Way::kWorker, address, length, flags);
}

int myfs_async_munmap(myfs_async* queue, const myfs_op* op, void* address, size_t length) {
  return submit<myfs_munmap_x>(queue, op, "munmap", Way::kWorker, address, length);
}

int myfs_async_dup3(myfs_async* queue, const myfs_op* op, int fd, int to, int flags) {
  return submit<dup3_call>(queue, op, "dup3", Way::kWorker, Fd{fd}, to, flags);
}

int myfs_async_fcntl(myfs_async* queue, const myfs_op* op, int fd, int cmd, int64_t arg) {
  return submit<fcntl_call>(queue, op, "fcntl", Way::kWorker, Fd{fd}, cmd, arg);
}

int myfs_async_close_range(myfs_async* queue, const myfs_op* op, unsigned first, unsigned last,
                           unsigned flags) {
  return submit<myfs_close_range_x>(queue, op, "close_range", Way::kWorker, first, last, flags);
}

int myfs_async_poll(myfs_async* queue, const myfs_op* op, struct pollfd* fds, nfds_t count,
                    int timeout_ms) {
  // What is wrong with the arguments is for the synchronous call to say.
  if (fds == nullptr || count > kDescriptorsMax) {
    return submit<myfs_poll_x>(queue, op, "poll", Way::kWorker, fds, count, timeout_ms);
  }
  api::Submission submission(queue, op);
  if (!submission.ok()) return submission.error();
  fs::PinnedFds pins = submission.pins();
  api::CallFn fn = [polls = OwnedPolls(pins, fds, count), timeout_ms](
                       myfs_task* task, const myfs_call* call) mutable -> int64_t {
    return polls.poll(task, call, timeout_ms);
  };
  return submission.start(std::make_unique<api::CallOp>(submission.queue(), *op, "poll",
                                                        std::move(fn), std::move(pins)));
}

int myfs_async_flock(myfs_async* queue, const myfs_op* op, int fd, int operation) {
  return submit<myfs_flock_x>(queue, op, "flock", Way::kWorker, Fd{fd}, operation);
}

int myfs_async_lock(myfs_async* queue, const myfs_op* op, int fd, int cmd, struct flock* lock) {
  return submit<myfs_lock_x>(queue, op, "lock", Way::kWorker, Fd{fd}, cmd, lock);
}

int myfs_async_lockf(myfs_async* queue, const myfs_op* op, int fd, int cmd, off_t size) {
  return submit<myfs_lockf_x>(queue, op, "lockf", Way::kWorker, Fd{fd}, cmd, size);
}

int myfs_async_statvfs(myfs_async* queue, const myfs_op* op, const char* path,
                       struct statvfs* out) {
  return submit<myfs_statvfs_x>(queue, op, "statvfs", Way::kWorker, path, out);
}

int myfs_async_fstatvfs(myfs_async* queue, const myfs_op* op, int fd, struct statvfs* out) {
  return submit<myfs_fstatvfs_x>(queue, op, "fstatvfs", Way::kWorker, Fd{fd}, out);
}

int myfs_async_realpath(myfs_async* queue, const myfs_op* op, const char* path, char* buffer,
                        size_t size) {
  return submit<myfs_realpath_x>(queue, op, "realpath", Way::kCacheFirst, path, buffer, size);
}

int myfs_async_chroot(myfs_async* queue, const myfs_op* op, const char* path) {
  return submit<myfs_chroot_x>(queue, op, "chroot", Way::kCacheFirst, path);
}

int myfs_async_server_operations(myfs_async* queue, const myfs_op* op, const char* path,
                                 uint64_t* operations) {
  return submit<myfs_server_operations_x>(queue, op, "server_operations", Way::kWorker, path,
                                          operations);
}

}  // extern "C"
