// Bytes from descriptor to descriptor, and where they lie.

#include <algorithm>

#include "sdk/api/call_scope.h"
#include "sdk/fs/copy_range.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

extern "C" {

ssize_t myfs_copy_file_range_x(myfs_task* task, const myfs_call* call, int fd_in, off_t* offset_in,
                               int fd_out, off_t* offset_out, size_t size, unsigned flags) {
  CallScope scope(task, call, "copy_file_range");
  return scope.run([&]() -> Result<size_t> {
    if (flags != 0) return fail(Errno(EINVAL), "no flags are known");
    return fs::vfs_copy_file_range(scope.ctx(), scope.task(), fd_in, offset_in, fd_out, offset_out,
                                   size);
  });
}
ssize_t myfs_copy_file_range(myfs_task* task, int fd_in, off_t* offset_in, int fd_out,
                             off_t* offset_out, size_t size, unsigned flags) {
  return myfs_copy_file_range_x(task, nullptr, fd_in, offset_in, fd_out, offset_out, size, flags);
}

int myfs_clone_file_range_x(myfs_task* task, const myfs_call* call, int fd_in, off_t offset_in,
                            int fd_out, off_t offset_out, off_t size) {
  CallScope scope(task, call, "clone_file_range");
  return scope.run([&] {
    return fs::vfs_clone_file_range(scope.ctx(), scope.task(), fd_in, offset_in, fd_out, offset_out,
                                    size);
  });
}
int myfs_clone_file_range(myfs_task* task, int fd_in, off_t offset_in, int fd_out, off_t offset_out,
                          off_t size) {
  return myfs_clone_file_range_x(task, nullptr, fd_in, offset_in, fd_out, offset_out, size);
}

int myfs_clone_file_x(myfs_task* task, const myfs_call* call, int fd_in, int fd_out) {
  CallScope scope(task, call, "clone_file");
  return scope.run(
      [&] { return fs::vfs_clone_file_range(scope.ctx(), scope.task(), fd_in, 0, fd_out, 0, 0); });
}
int myfs_clone_file(myfs_task* task, int fd_in, int fd_out) {
  return myfs_clone_file_x(task, nullptr, fd_in, fd_out);
}

ssize_t myfs_fiemap_x(myfs_task* task, const myfs_call* call, int fd, off_t offset, off_t size,
                      myfs_extent* extents, size_t count) {
  CallScope scope(task, call, "fiemap");
  return scope.run([&]() -> Result<size_t> {
    if (extents == nullptr || count == 0) return fail(Errno(EINVAL), "there is no buffer");
    MYFS_ASSIGN(const fs::FileExtents found,
                fs::vfs_fiemap(scope.ctx(), scope.task(), fd, offset, size, count));
    const size_t stored = std::min(count, found.extents.size());
    for (size_t i = 0; i < stored; ++i) {
      extents[i] = {.offset = found.extents[i].offset,
                    .size = found.extents[i].length,
                    .flags = found.extents[i].shared ? unsigned{MYFS_EXTENT_SHARED} : 0};
    }
    if (found.last && stored == found.extents.size() && stored != 0) {
      extents[stored - 1].flags |= MYFS_EXTENT_LAST;
    }
    return stored;
  });
}
ssize_t myfs_fiemap(myfs_task* task, int fd, off_t offset, off_t size, myfs_extent* extents,
                    size_t count) {
  return myfs_fiemap_x(task, nullptr, fd, offset, size, extents, count);
}

}  // extern "C"
