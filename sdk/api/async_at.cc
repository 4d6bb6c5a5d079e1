// Rows of the table of asynchronous calls: relative to a directory; attributes of links and
// descriptors.
#include <fcntl.h>

#include "sdk/api/async_op.h"

using namespace myfs;  // the facade's own rooms only
using api::Fd;
using api::submit;
using api::Way;

namespace {

// What makes or cuts a file is no affair of the cache.
Way way_of(uint64_t flags) {
  constexpr uint64_t kMakes = O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);
  return (flags & kMakes) == 0 ? Way::kCacheFirst : Way::kWorker;
}

}  // namespace

extern "C" {

int myfs_async_openat(myfs_async* queue, const myfs_op* op, int dirfd, const char* path, int flags,
                      mode_t mode) {
  return submit<myfs_openat_x>(queue, op, "openat", way_of(flags), Fd{dirfd}, path, flags, mode);
}

int myfs_async_openat2(myfs_async* queue, const myfs_op* op, int dirfd, const char* path,
                       const myfs_open_how* how) {
  return submit<myfs_openat2_x>(queue, op, "openat2",
                                how != nullptr ? way_of(how->flags) : Way::kCacheFirst, Fd{dirfd},
                                path, how);
}

int myfs_async_mkdirat(myfs_async* queue, const myfs_op* op, int dirfd, const char* path,
                       mode_t mode) {
  return submit<myfs_mkdirat_x>(queue, op, "mkdirat", Way::kWorker, Fd{dirfd}, path, mode);
}

int myfs_async_mknodat(myfs_async* queue, const myfs_op* op, int dirfd, const char* path,
                       mode_t mode, dev_t dev) {
  return submit<myfs_mknodat_x>(queue, op, "mknodat", Way::kWorker, Fd{dirfd}, path, mode, dev);
}

int myfs_async_unlinkat(myfs_async* queue, const myfs_op* op, int dirfd, const char* path,
                        int flags) {
  return submit<myfs_unlinkat_x>(queue, op, "unlinkat", Way::kWorker, Fd{dirfd}, path, flags);
}

int myfs_async_renameat2(myfs_async* queue, const myfs_op* op, int from_dirfd, const char* from,
                         int to_dirfd, const char* to, unsigned flags) {
  return submit<myfs_renameat2_x>(queue, op, "renameat2", Way::kWorker, Fd{from_dirfd}, from,
                                  Fd{to_dirfd}, to, flags);
}

int myfs_async_linkat(myfs_async* queue, const myfs_op* op, int from_dirfd, const char* from,
                      int to_dirfd, const char* to, int flags) {
  return submit<myfs_linkat_x>(queue, op, "linkat", Way::kWorker, Fd{from_dirfd}, from,
                               Fd{to_dirfd}, to, flags);
}

int myfs_async_symlinkat(myfs_async* queue, const myfs_op* op, const char* target, int dirfd,
                         const char* path) {
  return submit<myfs_symlinkat_x>(queue, op, "symlinkat", Way::kWorker, target, Fd{dirfd}, path);
}

int myfs_async_readlinkat(myfs_async* queue, const myfs_op* op, int dirfd, const char* path,
                          char* buffer, size_t size) {
  return submit<myfs_readlinkat_x>(queue, op, "readlinkat", Way::kCacheFirst, Fd{dirfd}, path,
                                   buffer, size);
}

int myfs_async_fchmodat(myfs_async* queue, const myfs_op* op, int dirfd, const char* path,
                        mode_t mode, int flags) {
  return submit<myfs_fchmodat_x>(queue, op, "fchmodat", Way::kWorker, Fd{dirfd}, path, mode, flags);
}

int myfs_async_fchownat(myfs_async* queue, const myfs_op* op, int dirfd, const char* path,
                        uid_t uid, gid_t gid, int flags) {
  return submit<myfs_fchownat_x>(queue, op, "fchownat", Way::kWorker, Fd{dirfd}, path, uid, gid,
                                 flags);
}

int myfs_async_utimensat(myfs_async* queue, const myfs_op* op, int dirfd, const char* path,
                         const struct timespec times[2], int flags) {
  return submit<myfs_utimensat_x>(queue, op, "utimensat", Way::kWorker, Fd{dirfd}, path, times,
                                  flags);
}

int myfs_async_faccessat(myfs_async* queue, const myfs_op* op, int dirfd, const char* path,
                         int mode, int flags) {
  return submit<myfs_faccessat_x>(queue, op, "faccessat", Way::kCacheFirst, Fd{dirfd}, path, mode,
                                  flags);
}

int myfs_async_fstatat(myfs_async* queue, const myfs_op* op, int dirfd, const char* path,
                       struct stat* out, int flags) {
  return submit<myfs_fstatat_x>(queue, op, "fstatat", Way::kCacheFirst, Fd{dirfd}, path, out,
                                flags);
}

int myfs_async_statxat(myfs_async* queue, const myfs_op* op, int dirfd, const char* path, int flags,
                       unsigned mask, struct statx* out) {
  return submit<myfs_statxat_x>(queue, op, "statxat", Way::kCacheFirst, Fd{dirfd}, path, flags,
                                mask, out);
}

int myfs_async_opendirat(myfs_async* queue, const myfs_op* op, int dirfd, const char* path,
                         myfs_dir** dir) {
  return submit<myfs_opendirat_x>(queue, op, "opendirat", Way::kCacheFirst, Fd{dirfd}, path, dir);
}

int myfs_async_lgetxattr(myfs_async* queue, const myfs_op* op, const char* path, const char* name,
                         void* value, size_t size) {
  return submit<myfs_lgetxattr_x>(queue, op, "lgetxattr", Way::kWorker, path, name, value, size);
}

int myfs_async_lsetxattr(myfs_async* queue, const myfs_op* op, const char* path, const char* name,
                         const void* value, size_t size, int flags) {
  return submit<myfs_lsetxattr_x>(queue, op, "lsetxattr", Way::kWorker, path, name, value, size,
                                  flags);
}

int myfs_async_llistxattr(myfs_async* queue, const myfs_op* op, const char* path, char* list,
                          size_t size) {
  return submit<myfs_llistxattr_x>(queue, op, "llistxattr", Way::kWorker, path, list, size);
}

int myfs_async_lremovexattr(myfs_async* queue, const myfs_op* op, const char* path,
                            const char* name) {
  return submit<myfs_lremovexattr_x>(queue, op, "lremovexattr", Way::kWorker, path, name);
}

int myfs_async_fgetxattr(myfs_async* queue, const myfs_op* op, int fd, const char* name,
                         void* value, size_t size) {
  return submit<myfs_fgetxattr_x>(queue, op, "fgetxattr", Way::kWorker, Fd{fd}, name, value, size);
}

int myfs_async_fsetxattr(myfs_async* queue, const myfs_op* op, int fd, const char* name,
                         const void* value, size_t size, int flags) {
  return submit<myfs_fsetxattr_x>(queue, op, "fsetxattr", Way::kWorker, Fd{fd}, name, value, size,
                                  flags);
}

int myfs_async_flistxattr(myfs_async* queue, const myfs_op* op, int fd, char* list, size_t size) {
  return submit<myfs_flistxattr_x>(queue, op, "flistxattr", Way::kWorker, Fd{fd}, list, size);
}

int myfs_async_fremovexattr(myfs_async* queue, const myfs_op* op, int fd, const char* name) {
  return submit<myfs_fremovexattr_x>(queue, op, "fremovexattr", Way::kWorker, Fd{fd}, name);
}

}  // extern "C"
