// Names.

#include <cstring>

#include "sdk/api/call_scope.h"
#include "sdk/fs/namei_ops.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

extern "C" {

int myfs_mkdir_x(myfs_task* task, const myfs_call* call, const char* path, mode_t mode) {
  CallScope scope(task, call, "mkdir");
  return scope.run([&]() -> Result<void> {
    MYFS_ASSIGN(fs::At at, api::path_at(path));
    return fs::vfs_mkdir(scope.ctx(), scope.task(), at, mode);
  });
}
int myfs_mkdir(myfs_task* task, const char* path, mode_t mode) {
  return myfs_mkdir_x(task, nullptr, path, mode);
}

int myfs_rmdir_x(myfs_task* task, const myfs_call* call, const char* path) {
  CallScope scope(task, call, "rmdir");
  return scope.run([&]() -> Result<void> {
    MYFS_ASSIGN(fs::At at, api::path_at(path));
    return fs::vfs_rmdir(scope.ctx(), scope.task(), at);
  });
}
int myfs_rmdir(myfs_task* task, const char* path) { return myfs_rmdir_x(task, nullptr, path); }

int myfs_unlink_x(myfs_task* task, const myfs_call* call, const char* path) {
  CallScope scope(task, call, "unlink");
  return scope.run([&]() -> Result<void> {
    MYFS_ASSIGN(fs::At at, api::path_at(path));
    return fs::vfs_unlink(scope.ctx(), scope.task(), at);
  });
}
int myfs_unlink(myfs_task* task, const char* path) { return myfs_unlink_x(task, nullptr, path); }

int myfs_rename2_x(myfs_task* task, const myfs_call* call, const char* from, const char* to,
                   unsigned flags) {
  CallScope scope(task, call, "rename");
  return scope.run([&]() -> Result<void> {
    MYFS_ASSIGN(fs::At source, api::path_at(from));
    MYFS_ASSIGN(fs::At target, api::path_at(to));
    return fs::vfs_rename(scope.ctx(), scope.task(), source, target, flags);
  });
}
int myfs_rename2(myfs_task* task, const char* from, const char* to, unsigned flags) {
  return myfs_rename2_x(task, nullptr, from, to, flags);
}
int myfs_rename_x(myfs_task* task, const myfs_call* call, const char* from, const char* to) {
  return myfs_rename2_x(task, call, from, to, 0);
}
int myfs_rename(myfs_task* task, const char* from, const char* to) {
  return myfs_rename2_x(task, nullptr, from, to, 0);
}

int myfs_link_x(myfs_task* task, const myfs_call* call, const char* from, const char* to) {
  CallScope scope(task, call, "link");
  return scope.run([&]() -> Result<void> {
    MYFS_ASSIGN(fs::At source, api::path_at(from));
    MYFS_ASSIGN(fs::At target, api::path_at(to));
    return fs::vfs_link(scope.ctx(), scope.task(), source, target, 0);
  });
}
int myfs_link(myfs_task* task, const char* from, const char* to) {
  return myfs_link_x(task, nullptr, from, to);
}

int myfs_symlink_x(myfs_task* task, const myfs_call* call, const char* target, const char* path) {
  CallScope scope(task, call, "symlink");
  return scope.run([&]() -> Result<void> {
    if (target == nullptr) return fail(Errno(EINVAL), "the target is null");
    MYFS_ASSIGN(fs::At at, api::path_at(path));
    return fs::vfs_symlink(scope.ctx(), scope.task(), target, at);
  });
}
int myfs_symlink(myfs_task* task, const char* target, const char* path) {
  return myfs_symlink_x(task, nullptr, target, path);
}

ssize_t myfs_readlink_x(myfs_task* task, const myfs_call* call, const char* path, char* buffer,
                        size_t size) {
  CallScope scope(task, call, "readlink");
  return scope.run([&]() -> Result<size_t> {
    if (buffer == nullptr || size == 0) return fail(Errno(EINVAL), "there is no buffer");
    MYFS_ASSIGN(fs::At at, api::path_at(path));
    MYFS_ASSIGN(std::string target, fs::vfs_readlink(scope.ctx(), scope.task(), at));
    return target.copy(buffer, size);
  });
}
ssize_t myfs_readlink(myfs_task* task, const char* path, char* buffer, size_t size) {
  return myfs_readlink_x(task, nullptr, path, buffer, size);
}

int myfs_mknod_x(myfs_task* task, const myfs_call* call, const char* path, mode_t mode, dev_t dev) {
  CallScope scope(task, call, "mknod");
  return scope.run([&]() -> Result<void> {
    MYFS_ASSIGN(fs::At at, api::path_at(path));
    return fs::vfs_mknod(scope.ctx(), scope.task(), at, mode, dev);
  });
}
int myfs_mknod(myfs_task* task, const char* path, mode_t mode, dev_t dev) {
  return myfs_mknod_x(task, nullptr, path, mode, dev);
}

}  // extern "C"
