// Attributes.

#include "sdk/api/call_scope.h"
#include "sdk/api/kstat_out.h"
#include "sdk/fs/attr.h"
#include "sdk/fs/stat.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

namespace {

template <typename Out>
Errno check_out(const Out* out) {
  return out == nullptr ? fail(Errno(EINVAL), "there is no place for the result") : Errno();
}

int stat_path(myfs_task* task, const myfs_call* call, const char* operation, const char* path,
              int at_flags, struct stat* out) {
  CallScope scope(task, call, operation);
  return scope.run([&]() -> Result<void> {
    if (Errno error = check_out(out); !error.ok()) return error;
    MYFS_ASSIGN(fs::At at, api::path_at(path));
    Kstat stat;
    MYFS_TRY(fs::vfs_stat(scope.ctx(), scope.task(), at, at_flags, &stat));
    api::to_stat(stat, out);
    return {};
  });
}

// `change` gets the place of the path.
template <typename Fn>
int change_path(myfs_task* task, const myfs_call* call, const char* operation, const char* path,
                Fn&& change) {
  CallScope scope(task, call, operation);
  return scope.run([&]() -> Result<void> {
    MYFS_ASSIGN(fs::At at, api::path_at(path));
    return change(scope.ctx(), scope.task(), at);
  });
}

}  // namespace

extern "C" {

int myfs_stat_x(myfs_task* task, const myfs_call* call, const char* path, struct stat* out) {
  return stat_path(task, call, "stat", path, 0, out);
}
int myfs_stat(myfs_task* task, const char* path, struct stat* out) {
  return stat_path(task, nullptr, "stat", path, 0, out);
}
int myfs_lstat_x(myfs_task* task, const myfs_call* call, const char* path, struct stat* out) {
  return stat_path(task, call, "lstat", path, AT_SYMLINK_NOFOLLOW, out);
}
int myfs_lstat(myfs_task* task, const char* path, struct stat* out) {
  return stat_path(task, nullptr, "lstat", path, AT_SYMLINK_NOFOLLOW, out);
}

int myfs_fstat_x(myfs_task* task, const myfs_call* call, int fd, struct stat* out) {
  CallScope scope(task, call, "fstat");
  return scope.run([&]() -> Result<void> {
    if (Errno error = check_out(out); !error.ok()) return error;
    Kstat stat;
    MYFS_TRY(fs::vfs_fstat(scope.ctx(), scope.task(), fd, &stat));
    api::to_stat(stat, out);
    return {};
  });
}
int myfs_fstat(myfs_task* task, int fd, struct stat* out) {
  return myfs_fstat_x(task, nullptr, fd, out);
}

int myfs_chmod_x(myfs_task* task, const myfs_call* call, const char* path, mode_t mode) {
  return change_path(task, call, "chmod", path, [&](auto& ctx, auto& vfs_task, fs::At at) {
    return fs::vfs_chmod(ctx, vfs_task, at, mode, 0);
  });
}
int myfs_chmod(myfs_task* task, const char* path, mode_t mode) {
  return myfs_chmod_x(task, nullptr, path, mode);
}

int myfs_fchmod_x(myfs_task* task, const myfs_call* call, int fd, mode_t mode) {
  CallScope scope(task, call, "fchmod");
  return scope.run([&] { return fs::vfs_fchmod(scope.ctx(), scope.task(), fd, mode); });
}
int myfs_fchmod(myfs_task* task, int fd, mode_t mode) {
  return myfs_fchmod_x(task, nullptr, fd, mode);
}

int myfs_chown_x(myfs_task* task, const myfs_call* call, const char* path, uid_t uid, gid_t gid) {
  return change_path(task, call, "chown", path, [&](auto& ctx, auto& vfs_task, fs::At at) {
    return fs::vfs_chown(ctx, vfs_task, at, uid, gid, 0);
  });
}
int myfs_chown(myfs_task* task, const char* path, uid_t uid, gid_t gid) {
  return myfs_chown_x(task, nullptr, path, uid, gid);
}

int myfs_lchown_x(myfs_task* task, const myfs_call* call, const char* path, uid_t uid, gid_t gid) {
  return change_path(task, call, "lchown", path, [&](auto& ctx, auto& vfs_task, fs::At at) {
    return fs::vfs_chown(ctx, vfs_task, at, uid, gid, AT_SYMLINK_NOFOLLOW);
  });
}
int myfs_lchown(myfs_task* task, const char* path, uid_t uid, gid_t gid) {
  return myfs_lchown_x(task, nullptr, path, uid, gid);
}

int myfs_fchown_x(myfs_task* task, const myfs_call* call, int fd, uid_t uid, gid_t gid) {
  CallScope scope(task, call, "fchown");
  return scope.run([&] { return fs::vfs_fchown(scope.ctx(), scope.task(), fd, uid, gid); });
}
int myfs_fchown(myfs_task* task, int fd, uid_t uid, gid_t gid) {
  return myfs_fchown_x(task, nullptr, fd, uid, gid);
}

int myfs_utimens_x(myfs_task* task, const myfs_call* call, const char* path,
                   const struct timespec times[2], int flags) {
  return change_path(
      task, call, "utimens", path, [&](auto& ctx, auto& vfs_task, fs::At at) -> Result<void> {
        if ((flags & ~AT_SYMLINK_NOFOLLOW) != 0) {
          return fail(Errno(EINVAL), "utimens: flags must be 0 or AT_SYMLINK_NOFOLLOW");
        }
        return fs::vfs_utimens(ctx, vfs_task, at, times, flags);
      });
}
int myfs_utimens(myfs_task* task, const char* path, const struct timespec times[2], int flags) {
  return myfs_utimens_x(task, nullptr, path, times, flags);
}

int myfs_futimens_x(myfs_task* task, const myfs_call* call, int fd,
                    const struct timespec times[2]) {
  CallScope scope(task, call, "futimens");
  return scope.run([&] { return fs::vfs_futimens(scope.ctx(), scope.task(), fd, times); });
}
int myfs_futimens(myfs_task* task, int fd, const struct timespec times[2]) {
  return myfs_futimens_x(task, nullptr, fd, times);
}

int myfs_truncate_x(myfs_task* task, const myfs_call* call, const char* path, off_t size) {
  return change_path(task, call, "truncate", path, [&](auto& ctx, auto& vfs_task, fs::At at) {
    return fs::vfs_truncate(ctx, vfs_task, at, size);
  });
}
int myfs_truncate(myfs_task* task, const char* path, off_t size) {
  return myfs_truncate_x(task, nullptr, path, size);
}

int myfs_ftruncate_x(myfs_task* task, const myfs_call* call, int fd, off_t size) {
  CallScope scope(task, call, "ftruncate");
  return scope.run([&] { return fs::vfs_ftruncate(scope.ctx(), scope.task(), fd, size); });
}
int myfs_ftruncate(myfs_task* task, int fd, off_t size) {
  return myfs_ftruncate_x(task, nullptr, fd, size);
}

int myfs_access_x(myfs_task* task, const myfs_call* call, const char* path, int mode) {
  return change_path(
      task, call, "access", path, [&](auto& ctx, auto& vfs_task, fs::At at) -> Result<void> {
        if ((mode & ~(R_OK | W_OK | X_OK)) != 0) {
          return fail(Errno(EINVAL), "access: the mode must be F_OK or R_OK, W_OK, X_OK");
        }
        return fs::vfs_access(ctx, vfs_task, at, mode, 0);
      });
}
int myfs_access(myfs_task* task, const char* path, int mode) {
  return myfs_access_x(task, nullptr, path, mode);
}

int myfs_statfs_x(myfs_task* task, const myfs_call* call, const char* path, struct statfs* out) {
  return change_path(task, call, "statfs", path,
                     [&](auto& ctx, auto& vfs_task, fs::At at) -> Result<void> {
                       if (Errno error = check_out(out); !error.ok()) return error;
                       MYFS_ASSIGN(fs::Kstatfs stat, fs::vfs_statfs(ctx, vfs_task, at));
                       api::to_statfs(stat, out);
                       return {};
                     });
}
int myfs_statfs(myfs_task* task, const char* path, struct statfs* out) {
  return myfs_statfs_x(task, nullptr, path, out);
}

int myfs_statvfs_x(myfs_task* task, const myfs_call* call, const char* path, struct statvfs* out) {
  return change_path(task, call, "statvfs", path,
                     [&](auto& ctx, auto& vfs_task, fs::At at) -> Result<void> {
                       if (Errno error = check_out(out); !error.ok()) return error;
                       MYFS_ASSIGN(fs::Kstatfs stat, fs::vfs_statfs(ctx, vfs_task, at));
                       api::to_statvfs(stat, out);
                       return {};
                     });
}
int myfs_statvfs(myfs_task* task, const char* path, struct statvfs* out) {
  return myfs_statvfs_x(task, nullptr, path, out);
}

int myfs_fstatvfs_x(myfs_task* task, const myfs_call* call, int fd, struct statvfs* out) {
  CallScope scope(task, call, "fstatvfs");
  return scope.run([&]() -> Result<void> {
    if (Errno error = check_out(out); !error.ok()) return error;
    MYFS_ASSIGN(fs::Kstatfs stat, fs::vfs_fstatfs(scope.ctx(), scope.task(), fd));
    api::to_statvfs(stat, out);
    return {};
  });
}
int myfs_fstatvfs(myfs_task* task, int fd, struct statvfs* out) {
  return myfs_fstatvfs_x(task, nullptr, fd, out);
}

int myfs_fstatfs_x(myfs_task* task, const myfs_call* call, int fd, struct statfs* out) {
  CallScope scope(task, call, "fstatfs");
  return scope.run([&]() -> Result<void> {
    if (Errno error = check_out(out); !error.ok()) return error;
    MYFS_ASSIGN(fs::Kstatfs stat, fs::vfs_fstatfs(scope.ctx(), scope.task(), fd));
    api::to_statfs(stat, out);
    return {};
  });
}
int myfs_fstatfs(myfs_task* task, int fd, struct statfs* out) {
  return myfs_fstatfs_x(task, nullptr, fd, out);
}

}  // extern "C"
