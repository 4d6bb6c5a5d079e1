// Rows of the table of asynchronous calls: attributes.
#include "sdk/api/async_op.h"

using namespace myfs;  // the facade's own rooms only
using api::Fd;
using api::submit;
using api::Way;

extern "C" {

int myfs_async_stat(myfs_async* queue, const myfs_op* op, const char* path, struct stat* out) {
  return submit<myfs_stat_x>(queue, op, "stat", Way::kCacheFirst, path, out);
}

int myfs_async_lstat(myfs_async* queue, const myfs_op* op, const char* path, struct stat* out) {
  return submit<myfs_lstat_x>(queue, op, "lstat", Way::kCacheFirst, path, out);
}

int myfs_async_fstat(myfs_async* queue, const myfs_op* op, int fd, struct stat* out) {
  return submit<myfs_fstat_x>(queue, op, "fstat", Way::kCacheFirst, Fd{fd}, out);
}

int myfs_async_statx(myfs_async* queue, const myfs_op* op, const char* path, int flags,
                     unsigned mask, struct statx* out) {
  return submit<myfs_statx_x>(queue, op, "statx", Way::kCacheFirst, path, flags, mask, out);
}

int myfs_async_chmod(myfs_async* queue, const myfs_op* op, const char* path, mode_t mode) {
  return submit<myfs_chmod_x>(queue, op, "chmod", Way::kWorker, path, mode);
}

int myfs_async_fchmod(myfs_async* queue, const myfs_op* op, int fd, mode_t mode) {
  return submit<myfs_fchmod_x>(queue, op, "fchmod", Way::kWorker, Fd{fd}, mode);
}

int myfs_async_chown(myfs_async* queue, const myfs_op* op, const char* path, uid_t uid, gid_t gid) {
  return submit<myfs_chown_x>(queue, op, "chown", Way::kWorker, path, uid, gid);
}

int myfs_async_lchown(myfs_async* queue, const myfs_op* op, const char* path, uid_t uid,
                      gid_t gid) {
  return submit<myfs_lchown_x>(queue, op, "lchown", Way::kWorker, path, uid, gid);
}

int myfs_async_fchown(myfs_async* queue, const myfs_op* op, int fd, uid_t uid, gid_t gid) {
  return submit<myfs_fchown_x>(queue, op, "fchown", Way::kWorker, Fd{fd}, uid, gid);
}

int myfs_async_utimens(myfs_async* queue, const myfs_op* op, const char* path,
                       const struct timespec times[2], int flags) {
  return submit<myfs_utimens_x>(queue, op, "utimens", Way::kWorker, path, times, flags);
}

int myfs_async_futimens(myfs_async* queue, const myfs_op* op, int fd,
                        const struct timespec times[2]) {
  return submit<myfs_futimens_x>(queue, op, "futimens", Way::kWorker, Fd{fd}, times);
}

int myfs_async_access(myfs_async* queue, const myfs_op* op, const char* path, int mode) {
  return submit<myfs_access_x>(queue, op, "access", Way::kCacheFirst, path, mode);
}

int myfs_async_statfs(myfs_async* queue, const myfs_op* op, const char* path, struct statfs* out) {
  return submit<myfs_statfs_x>(queue, op, "statfs", Way::kWorker, path, out);
}

int myfs_async_fstatfs(myfs_async* queue, const myfs_op* op, int fd, struct statfs* out) {
  return submit<myfs_fstatfs_x>(queue, op, "fstatfs", Way::kWorker, Fd{fd}, out);
}

}  // extern "C"
