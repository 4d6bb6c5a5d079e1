// Reading, writing, positions, making durable.

#include <climits>

#include "sdk/api/call_scope.h"
#include "sdk/fs/read_write.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

namespace {

// A null buffer is only good for nothing.
Errno check_buffer(const void* buffer, size_t size) {
  if (buffer != nullptr || size == 0) return Errno();
  return fail(Errno(EINVAL), "the buffer is null");
}

Result<fs::IoVec> make_iovec(const iovec* iov, int count) {
  if (count < 0 || static_cast<size_t>(count) > fs::kIovMax || (iov == nullptr && count > 0)) {
    return fail(Errno(EINVAL), "the count of buffers must be 0..1024");
  }
  return fs::IoVec(iov, static_cast<size_t>(count));
}

// -1 means "at the position" inside; callers of the p-forms may not say so.
Errno check_offset(off_t offset) {
  return offset < 0 ? fail(Errno(EINVAL), "the offset is negative") : Errno();
}

Result<size_t> count_read(myfs_task* task, Result<size_t> result) {
  if (result.ok()) task->bytes_read.add(static_cast<int64_t>(*result));
  return result;
}
Result<size_t> count_written(myfs_task* task, Result<size_t> result) {
  if (result.ok()) task->bytes_written.add(static_cast<int64_t>(*result));
  return result;
}

}  // namespace

extern "C" {

ssize_t myfs_read_x(myfs_task* task, const myfs_call* call, int fd, void* buffer, size_t size) {
  CallScope scope(task, call, "read");
  return scope.run([&]() -> Result<size_t> {
    if (Errno error = check_buffer(buffer, size); !error.ok()) return error;
    return count_read(task, fs::vfs_read(scope.ctx(), scope.task(), fd, buffer, size));
  });
}
ssize_t myfs_read(myfs_task* task, int fd, void* buffer, size_t size) {
  return myfs_read_x(task, nullptr, fd, buffer, size);
}

ssize_t myfs_pread_x(myfs_task* task, const myfs_call* call, int fd, void* buffer, size_t size,
                     off_t offset) {
  CallScope scope(task, call, "pread");
  return scope.run([&]() -> Result<size_t> {
    if (Errno error = check_buffer(buffer, size); !error.ok()) return error;
    return count_read(task, fs::vfs_pread(scope.ctx(), scope.task(), fd, buffer, size, offset));
  });
}
ssize_t myfs_pread(myfs_task* task, int fd, void* buffer, size_t size, off_t offset) {
  return myfs_pread_x(task, nullptr, fd, buffer, size, offset);
}

ssize_t myfs_readv_x(myfs_task* task, const myfs_call* call, int fd, const iovec* iov, int count) {
  CallScope scope(task, call, "readv");
  return scope.run([&]() -> Result<size_t> {
    MYFS_ASSIGN(fs::IoVec to, make_iovec(iov, count));
    return count_read(task, fs::vfs_readv(scope.ctx(), scope.task(), fd, to, -1));
  });
}
ssize_t myfs_readv(myfs_task* task, int fd, const iovec* iov, int count) {
  return myfs_readv_x(task, nullptr, fd, iov, count);
}

ssize_t myfs_preadv_x(myfs_task* task, const myfs_call* call, int fd, const iovec* iov, int count,
                      off_t offset) {
  CallScope scope(task, call, "preadv");
  return scope.run([&]() -> Result<size_t> {
    if (Errno error = check_offset(offset); !error.ok()) return error;
    MYFS_ASSIGN(fs::IoVec to, make_iovec(iov, count));
    return count_read(task, fs::vfs_readv(scope.ctx(), scope.task(), fd, to, offset));
  });
}
ssize_t myfs_preadv(myfs_task* task, int fd, const iovec* iov, int count, off_t offset) {
  return myfs_preadv_x(task, nullptr, fd, iov, count, offset);
}

ssize_t myfs_write_x(myfs_task* task, const myfs_call* call, int fd, const void* buffer,
                     size_t size) {
  CallScope scope(task, call, "write");
  return scope.run([&]() -> Result<size_t> {
    if (Errno error = check_buffer(buffer, size); !error.ok()) return error;
    return count_written(task, fs::vfs_write(scope.ctx(), scope.task(), fd, buffer, size));
  });
}
ssize_t myfs_write(myfs_task* task, int fd, const void* buffer, size_t size) {
  return myfs_write_x(task, nullptr, fd, buffer, size);
}

ssize_t myfs_pwrite_x(myfs_task* task, const myfs_call* call, int fd, const void* buffer,
                      size_t size, off_t offset) {
  CallScope scope(task, call, "pwrite");
  return scope.run([&]() -> Result<size_t> {
    if (Errno error = check_buffer(buffer, size); !error.ok()) return error;
    return count_written(task, fs::vfs_pwrite(scope.ctx(), scope.task(), fd, buffer, size, offset));
  });
}
ssize_t myfs_pwrite(myfs_task* task, int fd, const void* buffer, size_t size, off_t offset) {
  return myfs_pwrite_x(task, nullptr, fd, buffer, size, offset);
}

ssize_t myfs_writev_x(myfs_task* task, const myfs_call* call, int fd, const iovec* iov, int count) {
  CallScope scope(task, call, "writev");
  return scope.run([&]() -> Result<size_t> {
    MYFS_ASSIGN(fs::IoVec from, make_iovec(iov, count));
    return count_written(task, fs::vfs_writev(scope.ctx(), scope.task(), fd, from, -1));
  });
}
ssize_t myfs_writev(myfs_task* task, int fd, const iovec* iov, int count) {
  return myfs_writev_x(task, nullptr, fd, iov, count);
}

ssize_t myfs_pwritev_x(myfs_task* task, const myfs_call* call, int fd, const iovec* iov, int count,
                       off_t offset) {
  CallScope scope(task, call, "pwritev");
  return scope.run([&]() -> Result<size_t> {
    if (Errno error = check_offset(offset); !error.ok()) return error;
    MYFS_ASSIGN(fs::IoVec from, make_iovec(iov, count));
    return count_written(task, fs::vfs_writev(scope.ctx(), scope.task(), fd, from, offset));
  });
}
ssize_t myfs_pwritev(myfs_task* task, int fd, const iovec* iov, int count, off_t offset) {
  return myfs_pwritev_x(task, nullptr, fd, iov, count, offset);
}

ssize_t myfs_preadv2_x(myfs_task* task, const myfs_call* call, int fd, const iovec* iov, int count,
                       off_t offset, int flags) {
  CallScope scope(task, call, "preadv2");
  return scope.run([&]() -> Result<size_t> {
    if (offset < -1) return check_offset(offset);
    MYFS_ASSIGN(fs::IoVec to, make_iovec(iov, count));
    return count_read(task, fs::vfs_readv(scope.ctx(), scope.task(), fd, to, offset,
                                          static_cast<uint32_t>(flags)));
  });
}
ssize_t myfs_preadv2(myfs_task* task, int fd, const iovec* iov, int count, off_t offset,
                     int flags) {
  return myfs_preadv2_x(task, nullptr, fd, iov, count, offset, flags);
}

ssize_t myfs_pwritev2_x(myfs_task* task, const myfs_call* call, int fd, const iovec* iov, int count,
                        off_t offset, int flags) {
  CallScope scope(task, call, "pwritev2");
  return scope.run([&]() -> Result<size_t> {
    if (offset < -1) return check_offset(offset);
    MYFS_ASSIGN(fs::IoVec from, make_iovec(iov, count));
    return count_written(task, fs::vfs_writev(scope.ctx(), scope.task(), fd, from, offset,
                                              static_cast<uint32_t>(flags)));
  });
}
ssize_t myfs_pwritev2(myfs_task* task, int fd, const iovec* iov, int count, off_t offset,
                      int flags) {
  return myfs_pwritev2_x(task, nullptr, fd, iov, count, offset, flags);
}

int myfs_fallocate_x(myfs_task* task, const myfs_call* call, int fd, int mode, off_t offset,
                     off_t length) {
  CallScope scope(task, call, "fallocate");
  return scope.run(
      [&] { return fs::vfs_fallocate(scope.ctx(), scope.task(), fd, mode, offset, length); });
}
int myfs_fallocate(myfs_task* task, int fd, int mode, off_t offset, off_t length) {
  return myfs_fallocate_x(task, nullptr, fd, mode, offset, length);
}

int myfs_posix_fadvise_x(myfs_task* task, const myfs_call* call, int fd, off_t offset, off_t length,
                         int advice) {
  CallScope scope(task, call, "posix_fadvise");
  return scope.run(
      [&] { return fs::vfs_fadvise(scope.ctx(), scope.task(), fd, offset, length, advice); });
}
int myfs_posix_fadvise(myfs_task* task, int fd, off_t offset, off_t length, int advice) {
  return myfs_posix_fadvise_x(task, nullptr, fd, offset, length, advice);
}

int myfs_sync_file_range_x(myfs_task* task, const myfs_call* call, int fd, off_t offset,
                           off_t length, unsigned flags) {
  CallScope scope(task, call, "sync_file_range");
  return scope.run([&] {
    return fs::vfs_sync_file_range(scope.ctx(), scope.task(), fd, offset, length, flags);
  });
}
int myfs_sync_file_range(myfs_task* task, int fd, off_t offset, off_t length, unsigned flags) {
  return myfs_sync_file_range_x(task, nullptr, fd, offset, length, flags);
}

int myfs_syncfs_x(myfs_task* task, const myfs_call* call, int fd) {
  CallScope scope(task, call, "syncfs");
  return scope.run([&] { return fs::vfs_syncfs(scope.ctx(), scope.task(), fd); });
}
int myfs_syncfs(myfs_task* task, int fd) { return myfs_syncfs_x(task, nullptr, fd); }

off_t myfs_lseek_x(myfs_task* task, const myfs_call* call, int fd, off_t offset, int whence) {
  CallScope scope(task, call, "lseek");
  return scope.run([&] { return fs::vfs_lseek(scope.ctx(), scope.task(), fd, offset, whence); });
}
off_t myfs_lseek(myfs_task* task, int fd, off_t offset, int whence) {
  return myfs_lseek_x(task, nullptr, fd, offset, whence);
}

int myfs_fsync_x(myfs_task* task, const myfs_call* call, int fd) {
  CallScope scope(task, call, "fsync");
  return scope.run([&] { return fs::vfs_fsync(scope.ctx(), scope.task(), fd, false); });
}
int myfs_fsync(myfs_task* task, int fd) { return myfs_fsync_x(task, nullptr, fd); }

int myfs_fdatasync_x(myfs_task* task, const myfs_call* call, int fd) {
  CallScope scope(task, call, "fdatasync");
  return scope.run([&] { return fs::vfs_fsync(scope.ctx(), scope.task(), fd, true); });
}
int myfs_fdatasync(myfs_task* task, int fd) { return myfs_fdatasync_x(task, nullptr, fd); }

int myfs_sync_x(myfs_task* task, const myfs_call* call) {
  CallScope scope(task, call, "sync");
  return scope.run([&] { return fs::vfs_sync(scope.ctx(), scope.task()); });
}
int myfs_sync(myfs_task* task) { return myfs_sync_x(task, nullptr); }

}  // extern "C"
