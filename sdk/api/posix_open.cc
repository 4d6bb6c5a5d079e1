// Opening and closing.

#include "sdk/api/call_scope.h"
#include "sdk/fs/open.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

namespace {

// With NUL, which counts.
Result<size_t> copy_path(const std::string& path, char* buffer, size_t size) {
  if (path.size() + 1 > size) return Errno(ERANGE);
  path.copy(buffer, path.size());
  buffer[path.size()] = '\0';
  return path.size() + 1;
}

}  // namespace

extern "C" {

int myfs_open_x(myfs_task* task, const myfs_call* call, const char* path, int flags, mode_t mode) {
  CallScope scope(task, call, "open");
  return scope.run([&]() -> Result<int> {
    MYFS_ASSIGN(fs::At at, api::path_at(path));
    return fs::vfs_open(scope.ctx(), scope.task(), at, static_cast<uint32_t>(flags), mode);
  });
}
int myfs_open(myfs_task* task, const char* path, int flags, mode_t mode) {
  return myfs_open_x(task, nullptr, path, flags, mode);
}

int myfs_creat_x(myfs_task* task, const myfs_call* call, const char* path, mode_t mode) {
  return myfs_open_x(task, call, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
int myfs_creat(myfs_task* task, const char* path, mode_t mode) {
  return myfs_creat_x(task, nullptr, path, mode);
}

int myfs_close_x(myfs_task* task, const myfs_call* call, int fd) {
  CallScope scope(task, call, "close");
  return scope.run([&] { return fs::vfs_close(scope.ctx(), scope.task(), fd); });
}
int myfs_close(myfs_task* task, int fd) { return myfs_close_x(task, nullptr, fd); }

int myfs_dup(myfs_task* task, int fd) {
  CallScope scope(task, nullptr, "dup");
  return scope.run([&] { return fs::vfs_dup(scope.task(), fd, 0); });
}

int myfs_dup2(myfs_task* task, int fd, int to) {
  CallScope scope(task, nullptr, "dup2");
  return scope.run([&] { return fs::vfs_dup2(scope.ctx(), scope.task(), fd, to); });
}

mode_t myfs_umask(myfs_task* task, mode_t mask) {
  CallScope scope(task, nullptr, "umask");
  return scope.ok() ? scope.task().fs.set_umask(mask & 0777) : 0;
}

int myfs_chdir_x(myfs_task* task, const myfs_call* call, const char* path) {
  CallScope scope(task, call, "chdir");
  return scope.run([&]() -> Result<void> {
    MYFS_ASSIGN(fs::At at, api::path_at(path));
    return fs::vfs_chdir(scope.ctx(), scope.task(), at);
  });
}
int myfs_chdir(myfs_task* task, const char* path) { return myfs_chdir_x(task, nullptr, path); }

int myfs_fchdir(myfs_task* task, int fd) {
  CallScope scope(task, nullptr, "fchdir");
  return scope.run([&] { return fs::vfs_fchdir(scope.ctx(), scope.task(), fd); });
}

int myfs_chroot_x(myfs_task* task, const myfs_call* call, const char* path) {
  CallScope scope(task, call, "chroot");
  return scope.run([&]() -> Result<void> {
    MYFS_ASSIGN(fs::At at, api::path_at(path));
    return fs::vfs_chroot(scope.ctx(), scope.task(), at);
  });
}
int myfs_chroot(myfs_task* task, const char* path) { return myfs_chroot_x(task, nullptr, path); }

ssize_t myfs_realpath_x(myfs_task* task, const myfs_call* call, const char* path, char* buffer,
                        size_t size) {
  CallScope scope(task, call, "realpath");
  return scope.run([&]() -> Result<size_t> {
    if (buffer == nullptr || size == 0) return fail(Errno(EINVAL), "there is no buffer");
    MYFS_ASSIGN(fs::At at, api::path_at(path));
    if (at.path.empty()) return Errno(ENOENT);
    MYFS_ASSIGN(std::string real, fs::vfs_realpath(scope.ctx(), scope.task(), at));
    return copy_path(real, buffer, size);
  });
}
ssize_t myfs_realpath(myfs_task* task, const char* path, char* buffer, size_t size) {
  return myfs_realpath_x(task, nullptr, path, buffer, size);
}

ssize_t myfs_getcwd(myfs_task* task, char* buffer, size_t size) {
  CallScope scope(task, nullptr, "getcwd");
  return scope.run([&]() -> Result<size_t> {
    if (buffer == nullptr || size == 0) return fail(Errno(EINVAL), "there is no buffer");
    MYFS_ASSIGN(std::string path, fs::vfs_getcwd(scope.ctx(), scope.task()));
    return copy_path(path, buffer, size);
  });
}

}  // extern "C"
