// Calls whose paths begin at a descriptor.

#include "sdk/api/call_scope.h"
#include "sdk/api/kstat_out.h"
#include "sdk/fs/attr.h"
#include "sdk/fs/namei_ops.h"
#include "sdk/fs/open.h"
#include "sdk/fs/stat.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

namespace {

constexpr int kStatFlags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT;
constexpr int kSyncFlags = AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC;

// `fn` gets the place of the path.
template <typename Fn>
int at_path(myfs_task* task, const myfs_call* call, const char* operation, int dirfd,
            const char* path, Fn&& fn) {
  CallScope scope(task, call, operation);
  return scope.run([&]() -> Result<void> {
    MYFS_ASSIGN(fs::At at, api::path_at(path, dirfd));
    return fn(scope.ctx(), scope.task(), at);
  });
}

Errno check_flags(int flags, int known, const char* message) {
  return (flags & ~known) != 0 ? fail(Errno(EINVAL), message) : Errno();
}

// Later members of the caller's structure, which this library does not know, must ask for nothing.
Result<fs::OpenHow> open_how(const myfs_open_how* how) {
  if (how == nullptr) return fail(Errno(EINVAL), "myfs_open_how is null");
  if (how->size < sizeof(myfs_open_how)) {
    return fail(Errno(EINVAL), "myfs_open_how.size is too small");
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(how);
  for (size_t i = sizeof(myfs_open_how); i < how->size; ++i) {
    if (bytes[i] != 0) return fail(Errno(E2BIG), "myfs_open_how asks for what is not known");
  }
  return fs::OpenHow{.flags = how->flags, .mode = how->mode, .resolve = how->resolve};
}

}  // namespace

extern "C" {

int myfs_openat_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path, int flags,
                  mode_t mode) {
  CallScope scope(task, call, "openat");
  return scope.run([&]() -> Result<int> {
    MYFS_ASSIGN(fs::At at, api::path_at(path, dirfd));
    return fs::vfs_open(scope.ctx(), scope.task(), at, static_cast<uint32_t>(flags), mode);
  });
}
int myfs_openat(myfs_task* task, int dirfd, const char* path, int flags, mode_t mode) {
  return myfs_openat_x(task, nullptr, dirfd, path, flags, mode);
}

int myfs_openat2_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path,
                   const myfs_open_how* how) {
  CallScope scope(task, call, "openat2");
  return scope.run([&]() -> Result<int> {
    MYFS_ASSIGN(fs::At at, api::path_at(path, dirfd));
    MYFS_ASSIGN(const fs::OpenHow asked, open_how(how));
    return fs::vfs_openat2(scope.ctx(), scope.task(), at, asked);
  });
}
int myfs_openat2(myfs_task* task, int dirfd, const char* path, const myfs_open_how* how) {
  return myfs_openat2_x(task, nullptr, dirfd, path, how);
}

int myfs_mkdirat_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path,
                   mode_t mode) {
  return at_path(task, call, "mkdirat", dirfd, path, [&](auto& ctx, auto& vfs_task, fs::At at) {
    return fs::vfs_mkdir(ctx, vfs_task, at, mode);
  });
}
int myfs_mkdirat(myfs_task* task, int dirfd, const char* path, mode_t mode) {
  return myfs_mkdirat_x(task, nullptr, dirfd, path, mode);
}

int myfs_mknodat_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path, mode_t mode,
                   dev_t dev) {
  return at_path(task, call, "mknodat", dirfd, path, [&](auto& ctx, auto& vfs_task, fs::At at) {
    return fs::vfs_mknod(ctx, vfs_task, at, mode, dev);
  });
}
int myfs_mknodat(myfs_task* task, int dirfd, const char* path, mode_t mode, dev_t dev) {
  return myfs_mknodat_x(task, nullptr, dirfd, path, mode, dev);
}

int myfs_unlinkat_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path,
                    int flags) {
  return at_path(task, call, "unlinkat", dirfd, path,
                 [&](auto& ctx, auto& vfs_task, fs::At at) -> Result<void> {
                   MYFS_TRY(Result<void>(check_flags(flags, AT_REMOVEDIR,
                                                     "unlinkat: flags must be 0 or AT_REMOVEDIR")));
                   return flags != 0 ? fs::vfs_rmdir(ctx, vfs_task, at)
                                     : fs::vfs_unlink(ctx, vfs_task, at);
                 });
}
int myfs_unlinkat(myfs_task* task, int dirfd, const char* path, int flags) {
  return myfs_unlinkat_x(task, nullptr, dirfd, path, flags);
}

int myfs_renameat2_x(myfs_task* task, const myfs_call* call, int from_dirfd, const char* from,
                     int to_dirfd, const char* to, unsigned flags) {
  return at_path(task, call, "renameat2", from_dirfd, from,
                 [&](auto& ctx, auto& vfs_task, fs::At source) -> Result<void> {
                   MYFS_ASSIGN(fs::At target, api::path_at(to, to_dirfd));
                   return fs::vfs_rename(ctx, vfs_task, source, target, flags);
                 });
}
int myfs_renameat2(myfs_task* task, int from_dirfd, const char* from, int to_dirfd, const char* to,
                   unsigned flags) {
  return myfs_renameat2_x(task, nullptr, from_dirfd, from, to_dirfd, to, flags);
}

int myfs_linkat_x(myfs_task* task, const myfs_call* call, int from_dirfd, const char* from,
                  int to_dirfd, const char* to, int flags) {
  return at_path(task, call, "linkat", from_dirfd, from,
                 [&](auto& ctx, auto& vfs_task, fs::At source) -> Result<void> {
                   MYFS_ASSIGN(fs::At target, api::path_at(to, to_dirfd));
                   return fs::vfs_link(ctx, vfs_task, source, target, flags);
                 });
}
int myfs_linkat(myfs_task* task, int from_dirfd, const char* from, int to_dirfd, const char* to,
                int flags) {
  return myfs_linkat_x(task, nullptr, from_dirfd, from, to_dirfd, to, flags);
}

int myfs_symlinkat_x(myfs_task* task, const myfs_call* call, const char* target, int dirfd,
                     const char* path) {
  return at_path(task, call, "symlinkat", dirfd, path,
                 [&](auto& ctx, auto& vfs_task, fs::At at) -> Result<void> {
                   if (target == nullptr) return fail(Errno(EINVAL), "the target is null");
                   return fs::vfs_symlink(ctx, vfs_task, target, at);
                 });
}
int myfs_symlinkat(myfs_task* task, const char* target, int dirfd, const char* path) {
  return myfs_symlinkat_x(task, nullptr, target, dirfd, path);
}

ssize_t myfs_readlinkat_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path,
                          char* buffer, size_t size) {
  CallScope scope(task, call, "readlinkat");
  return scope.run([&]() -> Result<size_t> {
    if (buffer == nullptr || size == 0) return fail(Errno(EINVAL), "there is no buffer");
    MYFS_ASSIGN(fs::At at, api::path_at(path, dirfd));
    MYFS_ASSIGN(std::string target, fs::vfs_readlink(scope.ctx(), scope.task(), at));
    return target.copy(buffer, size);
  });
}
ssize_t myfs_readlinkat(myfs_task* task, int dirfd, const char* path, char* buffer, size_t size) {
  return myfs_readlinkat_x(task, nullptr, dirfd, path, buffer, size);
}

int myfs_fchmodat_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path,
                    mode_t mode, int flags) {
  return at_path(task, call, "fchmodat", dirfd, path, [&](auto& ctx, auto& vfs_task, fs::At at) {
    return fs::vfs_chmod(ctx, vfs_task, at, mode, flags);
  });
}
int myfs_fchmodat(myfs_task* task, int dirfd, const char* path, mode_t mode, int flags) {
  return myfs_fchmodat_x(task, nullptr, dirfd, path, mode, flags);
}

int myfs_fchownat_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path, uid_t uid,
                    gid_t gid, int flags) {
  return at_path(task, call, "fchownat", dirfd, path, [&](auto& ctx, auto& vfs_task, fs::At at) {
    return fs::vfs_chown(ctx, vfs_task, at, uid, gid, flags);
  });
}
int myfs_fchownat(myfs_task* task, int dirfd, const char* path, uid_t uid, gid_t gid, int flags) {
  return myfs_fchownat_x(task, nullptr, dirfd, path, uid, gid, flags);
}

int myfs_utimensat_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path,
                     const struct timespec times[2], int flags) {
  return at_path(task, call, "utimensat", dirfd, path, [&](auto& ctx, auto& vfs_task, fs::At at) {
    return fs::vfs_utimens(ctx, vfs_task, at, times, flags);
  });
}
int myfs_utimensat(myfs_task* task, int dirfd, const char* path, const struct timespec times[2],
                   int flags) {
  return myfs_utimensat_x(task, nullptr, dirfd, path, times, flags);
}

int myfs_faccessat_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path, int mode,
                     int flags) {
  return at_path(task, call, "faccessat", dirfd, path, [&](auto& ctx, auto& vfs_task, fs::At at) {
    return fs::vfs_access(ctx, vfs_task, at, mode, flags);
  });
}
int myfs_faccessat(myfs_task* task, int dirfd, const char* path, int mode, int flags) {
  return myfs_faccessat_x(task, nullptr, dirfd, path, mode, flags);
}

int myfs_fstatat_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path,
                   struct stat* out, int flags) {
  return at_path(task, call, "fstatat", dirfd, path,
                 [&](auto& ctx, auto& vfs_task, fs::At at) -> Result<void> {
                   if (out == nullptr) return fail(Errno(EINVAL), "there is no place for it");
                   MYFS_TRY(Result<void>(
                       check_flags(flags, kStatFlags | kSyncFlags, "fstatat: unknown flags")));
                   Kstat stat;
                   MYFS_TRY(fs::vfs_stat(ctx, vfs_task, at, flags & ~AT_STATX_DONT_SYNC, &stat));
                   api::to_stat(stat, out);
                   return {};
                 });
}
int myfs_fstatat(myfs_task* task, int dirfd, const char* path, struct stat* out, int flags) {
  return myfs_fstatat_x(task, nullptr, dirfd, path, out, flags);
}

int myfs_statxat_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path, int flags,
                   unsigned mask, struct statx* out) {
  return at_path(
      task, call, "statx", dirfd, path, [&](auto& ctx, auto& vfs_task, fs::At at) -> Result<void> {
        if (out == nullptr) return fail(Errno(EINVAL), "there is no place for the result");
        if ((flags & ~(kStatFlags | kSyncFlags)) != 0 || (flags & kSyncFlags) == kSyncFlags) {
          return fail(Errno(EINVAL), "statx: unknown or contradicting flags");
        }
        if ((mask & STATX__RESERVED) != 0) return fail(Errno(EINVAL), "statx: a reserved mask bit");
        Kstat stat;
        MYFS_TRY(fs::vfs_stat(ctx, vfs_task, at, flags & ~AT_STATX_DONT_SYNC, &stat));
        api::to_statx(stat, out);
        return {};
      });
}
int myfs_statxat(myfs_task* task, int dirfd, const char* path, int flags, unsigned mask,
                 struct statx* out) {
  return myfs_statxat_x(task, nullptr, dirfd, path, flags, mask, out);
}
int myfs_statx_x(myfs_task* task, const myfs_call* call, const char* path, int flags, unsigned mask,
                 struct statx* out) {
  return myfs_statxat_x(task, call, AT_FDCWD, path, flags, mask, out);
}
int myfs_statx(myfs_task* task, const char* path, int flags, unsigned mask, struct statx* out) {
  return myfs_statxat_x(task, nullptr, AT_FDCWD, path, flags, mask, out);
}

}  // extern "C"
