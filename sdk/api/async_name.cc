// Rows of the table of asynchronous calls: names, extended attributes, directories.
#include "sdk/api/async_op.h"

using namespace myfs;  // the facade's own rooms only
using api::Fd;
using api::submit;
using api::Way;

namespace {

// Calls without a twin.
int fchdir_call(myfs_task* task, const myfs_call*, int fd) { return myfs_fchdir(task, fd); }
ssize_t getcwd_call(myfs_task* task, const myfs_call*, char* buffer, size_t size) {
  return myfs_getcwd(task, buffer, size);
}
// Calls of a directory instead of a task.
int readdir_call(myfs_task*, const myfs_call* call, myfs_dir* dir, myfs_dirent* entry) {
  return myfs_readdir_x(dir, call, entry);
}
int readdirplus_call(myfs_task*, const myfs_call* call, myfs_dir* dir, myfs_dirent* entry,
                     struct stat* attributes) {
  return myfs_readdirplus_x(dir, call, entry, attributes);
}
int closedir_call(myfs_task*, const myfs_call*, myfs_dir* dir) { return myfs_closedir(dir); }

}  // namespace

extern "C" {

int myfs_async_mkdir(myfs_async* queue, const myfs_op* op, const char* path, mode_t mode) {
  return submit<myfs_mkdir_x>(queue, op, "mkdir", Way::kWorker, path, mode);
}

int myfs_async_rmdir(myfs_async* queue, const myfs_op* op, const char* path) {
  return submit<myfs_rmdir_x>(queue, op, "rmdir", Way::kWorker, path);
}

int myfs_async_unlink(myfs_async* queue, const myfs_op* op, const char* path) {
  return submit<myfs_unlink_x>(queue, op, "unlink", Way::kWorker, path);
}

int myfs_async_rename(myfs_async* queue, const myfs_op* op, const char* from, const char* to) {
  return submit<myfs_rename_x>(queue, op, "rename", Way::kWorker, from, to);
}

int myfs_async_rename2(myfs_async* queue, const myfs_op* op, const char* from, const char* to,
                       unsigned flags) {
  return submit<myfs_rename2_x>(queue, op, "rename2", Way::kWorker, from, to, flags);
}

int myfs_async_link(myfs_async* queue, const myfs_op* op, const char* from, const char* to) {
  return submit<myfs_link_x>(queue, op, "link", Way::kWorker, from, to);
}

int myfs_async_symlink(myfs_async* queue, const myfs_op* op, const char* target, const char* path) {
  return submit<myfs_symlink_x>(queue, op, "symlink", Way::kWorker, target, path);
}

int myfs_async_readlink(myfs_async* queue, const myfs_op* op, const char* path, char* buffer,
                        size_t size) {
  return submit<myfs_readlink_x>(queue, op, "readlink", Way::kCacheFirst, path, buffer, size);
}

int myfs_async_mknod(myfs_async* queue, const myfs_op* op, const char* path, mode_t mode,
                     dev_t dev) {
  return submit<myfs_mknod_x>(queue, op, "mknod", Way::kWorker, path, mode, dev);
}

int myfs_async_chdir(myfs_async* queue, const myfs_op* op, const char* path) {
  return submit<myfs_chdir_x>(queue, op, "chdir", Way::kCacheFirst, path);
}

int myfs_async_getxattr(myfs_async* queue, const myfs_op* op, const char* path, const char* name,
                        void* value, size_t size, int nofollow) {
  return submit<myfs_getxattr_x>(queue, op, "getxattr", Way::kWorker, path, name, value, size,
                                 nofollow);
}

int myfs_async_setxattr(myfs_async* queue, const myfs_op* op, const char* path, const char* name,
                        const void* value, size_t size, int flags, int nofollow) {
  return submit<myfs_setxattr_x>(queue, op, "setxattr", Way::kWorker, path, name, value, size,
                                 flags, nofollow);
}

int myfs_async_listxattr(myfs_async* queue, const myfs_op* op, const char* path, char* list,
                         size_t size, int nofollow) {
  return submit<myfs_listxattr_x>(queue, op, "listxattr", Way::kWorker, path, list, size, nofollow);
}

int myfs_async_removexattr(myfs_async* queue, const myfs_op* op, const char* path, const char* name,
                           int nofollow) {
  return submit<myfs_removexattr_x>(queue, op, "removexattr", Way::kWorker, path, name, nofollow);
}

int myfs_async_opendir(myfs_async* queue, const myfs_op* op, const char* path, myfs_dir** dir) {
  return submit<myfs_opendir_x>(queue, op, "opendir", Way::kCacheFirst, path, dir);
}

int myfs_async_fchdir(myfs_async* queue, const myfs_op* op, int fd) {
  return submit<fchdir_call>(queue, op, "fchdir", Way::kWorker, Fd{fd});
}

int myfs_async_getcwd(myfs_async* queue, const myfs_op* op, char* buffer, size_t size) {
  return submit<getcwd_call>(queue, op, "getcwd", Way::kCacheFirst, buffer, size);
}

int myfs_async_readdir(myfs_async* queue, const myfs_op* op, myfs_dir* dir, myfs_dirent* entry) {
  return submit<readdir_call>(queue, op, "readdir", Way::kCacheFirst, dir, entry);
}

// Not from the cache first: the entry would be taken before it is known whether its attributes are
// there.
int myfs_async_readdirplus(myfs_async* queue, const myfs_op* op, myfs_dir* dir, myfs_dirent* entry,
                           struct stat* attributes) {
  return submit<readdirplus_call>(queue, op, "readdirplus", Way::kWorker, dir, entry, attributes);
}

int myfs_async_closedir(myfs_async* queue, const myfs_op* op, myfs_dir* dir) {
  return submit<closedir_call>(queue, op, "closedir", Way::kWorker, dir);
}

}  // extern "C"
