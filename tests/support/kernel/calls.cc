// The calls of <myfs/myfs.h> made of system calls, so that what is a test of MyFS is one of the
// kernel's file systems, too. What a test of them all uses is here; what the kernel has no word
// for is ENOSYS, and its EFAULT the EINVAL that null pointers get here. Calls that get bad pointers
// do not go through the C library, which sanitizers watch.
#include <dirent.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <myfs/myfs.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#include "tests/support/kernel/task.h"

struct myfs_dir {
  myfs_task* task;
  int fd;
  int64_t position = 0;
  size_t at = 0, end = 0;
  alignas(8) char buffer[32768] = {};
};

namespace {

using Path = const char*;

// A directory as in readdir(3), which the C library has its own descriptors for.
struct Entry {
  uint64_t ino;
  int64_t next;
  uint16_t size;
  uint8_t type;
  char name[];
};

int open_dir(myfs_task* task, int fd, myfs_dir** dir) {
  if (fd < 0) return fd;
  *dir = new myfs_dir{.task = task, .fd = fd};
  return 0;
}

// A stream goes on where the descriptor stands.
int open_dir_of(myfs_task* task, int fd, myfs_dir** dir) {
  struct stat status;
  const int result = myfs_fstat(task, fd, &status);
  if (result < 0) return result;
  if (!S_ISDIR(status.st_mode)) return -ENOTDIR;
  const off_t position = myfs_lseek(task, fd, 0, SEEK_CUR);
  if (position < 0) return static_cast<int>(position);  // O_PATH: EBADF
  *dir = new myfs_dir{.task = task, .fd = fd, .position = position};
  return 0;
}

int read_dir(myfs_dir* dir, const myfs_call* call, myfs_dirent* out, struct stat* attributes) {
  return static_cast<int>(dir->task->run(call, [&]() -> int64_t {
    if (dir->at == dir->end) {
      const long size = ::syscall(SYS_getdents64, dir->fd, dir->buffer, sizeof dir->buffer);
      if (size <= 0) return size;
      dir->at = 0;
      dir->end = static_cast<size_t>(size);
    }
    const auto* entry = reinterpret_cast<const Entry*>(dir->buffer + dir->at);
    dir->at += entry->size;
    dir->position = entry->next;
    *out = {entry->ino, entry->next, entry->type, static_cast<uint16_t>(strlen(entry->name)), {}};
    std::copy_n(entry->name, out->name_length + 1, out->name);
    if (attributes != nullptr &&
        ::fstatat(dir->fd, out->name, attributes, AT_SYMLINK_NOFOLLOW) != 0) {
      attributes->st_ino = 0;
    }
    return 1;
  }));
}

int64_t map_extents(int fd, off_t offset, off_t size, myfs_extent* out, size_t count) {
  if (out == nullptr && count > 0) return errno = EFAULT, -1;
  std::vector<char> memory(sizeof(fiemap) + count * sizeof(fiemap_extent));
  auto* map = reinterpret_cast<fiemap*>(memory.data());
  map->fm_start = static_cast<uint64_t>(offset);
  map->fm_length = static_cast<uint64_t>(size);
  map->fm_flags = FIEMAP_FLAG_SYNC;
  map->fm_extent_count = static_cast<uint32_t>(count);
  if (::ioctl(fd, FS_IOC_FIEMAP, map) != 0) return -1;
  for (size_t i = 0; i < map->fm_mapped_extents; ++i) {
    const fiemap_extent& from = map->fm_extents[i];
    out[i] = {from.fe_logical, from.fe_length, from.fe_flags};
  }
  return map->fm_mapped_extents;
}

int64_t real_path(Path path, char* buffer, size_t size) {
  char whole[PATH_MAX];
  if (path == nullptr || buffer == nullptr || size == 0) return errno = EINVAL, -1;
  if (::realpath(path, whole) == nullptr) return -1;
  const size_t length = strlen(whole) + 1;
  if (length > size) return errno = ERANGE, -1;
  std::copy_n(whole, length, buffer);
  return static_cast<int64_t>(length);
}

// The kernel tells of places outside of the root, too; the C library does not.
int64_t get_cwd(char* buffer, size_t size) {
  char whole[PATH_MAX];
  if (buffer == nullptr || size == 0) return errno = EINVAL, -1;
  const long length = ::syscall(SYS_getcwd, whole, sizeof whole);
  if (length < 0) return -1;
  if (whole[0] != '/') return errno = ENOENT, -1;
  if (static_cast<size_t>(length) > size) return errno = ERANGE, -1;
  std::copy_n(whole, length, buffer);
  return length;
}

// The kernel tells of O_LARGEFILE, which is nothing to be asked for here.
int64_t control(int fd, int cmd, int64_t arg) {
  constexpr int kLargeFile = 0100000;
  const int result = ::fcntl(fd, cmd, arg);
  return cmd == F_GETFL && result >= 0 ? result & ~kLargeFile : result;
}

// The C library tells others by their process; all tasks here are of one.
int64_t lock_from_here(int fd, int cmd, off_t size) {
  if (cmd != F_TEST) return ::lockf(fd, cmd, size);
  struct flock lock {};
  lock.l_type = F_RDLCK;  // as lockf(3)
  lock.l_whence = SEEK_CUR;
  lock.l_len = size;
  if (::fcntl(fd, F_GETLK, &lock) != 0) return -1;
  return lock.l_type == F_UNLCK ? 0 : (errno = EACCES, -1);
}

// Without the size in front. EAGAIN, when names or mounts move anywhere in the system, means to try
// again.
int64_t open_as(int dir, Path path, const myfs_open_how* how) {
  if (how == nullptr) return errno = EFAULT, -1;
  while (true) {
    const long fd = ::syscall(SYS_openat2, dir, path, &how->flags, how->size - sizeof how->size);
    if (fd >= 0 || errno != EAGAIN || (how->resolve & RESOLVE_CACHED) != 0) return fd;
  }
}

int64_t copy_range(int in, off_t* from, int out, off_t* to, size_t size, unsigned flags) {
  return ::syscall(SYS_copy_file_range, in, from, out, to, size, flags);
}

int64_t clone_range(int in, off_t from, int out, off_t to, off_t size) {
  const file_clone_range range{in, static_cast<uint64_t>(from), static_cast<uint64_t>(size),
                               static_cast<uint64_t>(to)};
  return ::ioctl(out, FICLONERANGE, &range);
}

// The calling thread's last failure.
thread_local const char* last_operation = "";
thread_local int last_errno = 0;

int64_t run(myfs_task* task, const myfs_call* call, const char* operation,
            const std::function<int64_t()>& fn) {
  int64_t result = task != nullptr ? task->run(call, fn) : -EFAULT;
  if (result == -EFAULT) result = -EINVAL;
  if (result < 0) {
    last_operation = operation;
    last_errno = static_cast<int>(-result);
  }
  return result;
}

}  // namespace

#define MYFS_LIST(...) __VA_ARGS__
// A call with its twin.
#define MYFS_CALL(type, name, params, args, how)                                  \
  type myfs_##name##_x(myfs_task* t, const myfs_call* c, MYFS_LIST params) {      \
    return static_cast<type>(run(t, c, #name, [&]() -> int64_t { return how; })); \
  }                                                                               \
  type myfs_##name(myfs_task* t, MYFS_LIST params) {                              \
    return myfs_##name##_x(t, nullptr, MYFS_LIST args);                           \
  }
// One without.
#define MYFS_PLAIN_CALL(type, name, params, how)                                        \
  type myfs_##name(myfs_task* t, MYFS_LIST params) {                                    \
    return static_cast<type>(run(t, nullptr, #name, [&]() -> int64_t { return how; })); \
  }

extern "C" {

// --- tasks
int myfs_open_url(const char* url, const myfs_mount_options* options, myfs_task** task) {
  *task =
      new myfs_task(myfs::test::kernel_root_of(url), options != nullptr ? options->cred : nullptr);
  return 0;
}
int myfs_task_create(const myfs_cred* cred, myfs_task** task) {
  *task = new myfs_task("/", cred);
  return 0;
}
int myfs_task_destroy(myfs_task* task) {
  delete task;
  return 0;
}
int myfs_mount(myfs_task* task, const char* url, const char* at, const myfs_mount_options*) {
  return task->mount(myfs::test::kernel_root_of(url), at);
}
int myfs_umount(myfs_task* task, const char* at, int flags) {
  return ::umount2(task->path_of(at).c_str(), flags) == 0 ? 0 : -errno;
}
int myfs_last_error(myfs_error* error) {
  const size_t size = error->size;
  *error = {};
  error->size = size;
  error->error = last_errno;
  std::snprintf(error->operation, sizeof error->operation, "%s", last_operation);
  return 0;
}
int myfs_get_stats(myfs_task*, myfs_stats*) { return -ENOSYS; }
int myfs_refresh(myfs_task*, Path) { return -ENOSYS; }
int myfs_refresh_x(myfs_task*, const myfs_call*, Path) { return -ENOSYS; }
int myfs_dirstats(myfs_task*, Path, int, myfs_dirstat*) { return -ENOSYS; }
int myfs_dirstats_x(myfs_task*, const myfs_call*, Path, int, myfs_dirstat*) { return -ENOSYS; }
int myfs_server_operations(myfs_task*, const char*, uint64_t*) { return -ENOSYS; }
int myfs_server_operations_x(myfs_task*, const myfs_call*, const char*, uint64_t*) {
  return -ENOSYS;
}
myfs_cancel* myfs_cancel_create(void) { return nullptr; }
void myfs_cancel_fire(myfs_cancel*) {}
void myfs_cancel_destroy(myfs_cancel*) {}

// --- files
MYFS_CALL(int, open, (Path path, int flags, mode_t mode), (path, flags, mode),
          ::open(path, flags, mode))
MYFS_CALL(int, creat, (Path path, mode_t mode), (path, mode), ::creat(path, mode))
MYFS_CALL(int, close, (int fd), (fd), ::close(fd))
MYFS_CALL(ssize_t, read, (int fd, void* to, size_t n), (fd, to, n), ::read(fd, to, n))
MYFS_CALL(ssize_t, pread, (int fd, void* to, size_t n, off_t at), (fd, to, n, at),
          ::pread(fd, to, n, at))
MYFS_CALL(ssize_t, readv, (int fd, const iovec* v, int n), (fd, v, n), ::readv(fd, v, n))
MYFS_CALL(ssize_t, preadv, (int fd, const iovec* v, int n, off_t at), (fd, v, n, at),
          ::preadv(fd, v, n, at))
MYFS_CALL(ssize_t, preadv2, (int fd, const iovec* v, int n, off_t at, int flags),
          (fd, v, n, at, flags), ::preadv2(fd, v, n, at, flags))
MYFS_CALL(ssize_t, write, (int fd, const void* from, size_t n), (fd, from, n), ::write(fd, from, n))
MYFS_CALL(ssize_t, pwrite, (int fd, const void* from, size_t n, off_t at), (fd, from, n, at),
          ::pwrite(fd, from, n, at))
MYFS_CALL(ssize_t, writev, (int fd, const iovec* v, int n), (fd, v, n), ::writev(fd, v, n))
MYFS_CALL(ssize_t, pwritev, (int fd, const iovec* v, int n, off_t at), (fd, v, n, at),
          ::pwritev(fd, v, n, at))
MYFS_CALL(ssize_t, pwritev2, (int fd, const iovec* v, int n, off_t at, int flags),
          (fd, v, n, at, flags), ::pwritev2(fd, v, n, at, flags))
MYFS_CALL(off_t, lseek, (int fd, off_t at, int whence), (fd, at, whence), ::lseek(fd, at, whence))
MYFS_CALL(int, truncate, (Path path, off_t size), (path, size), ::truncate(path, size))
MYFS_CALL(int, ftruncate, (int fd, off_t size), (fd, size), ::ftruncate(fd, size))
MYFS_CALL(int, fsync, (int fd), (fd), ::fsync(fd))
MYFS_CALL(int, fdatasync, (int fd), (fd), ::fdatasync(fd))
MYFS_CALL(int, syncfs, (int fd), (fd), ::syncfs(fd))
int myfs_sync(myfs_task* t) {
  return static_cast<int>(t->run(nullptr, [] { return ::sync(), 0; }));
}
MYFS_CALL(int, sync_file_range, (int fd, off_t at, off_t n, unsigned flags), (fd, at, n, flags),
          ::sync_file_range(fd, at, n, flags))
MYFS_CALL(int, fallocate, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n),
          ::fallocate(fd, mode, at, n))
// Returns the error.
MYFS_CALL(int, posix_fadvise, (int fd, off_t at, off_t n, int advice), (fd, at, n, advice),
          ((errno = ::posix_fadvise(fd, at, n, advice)) == 0 ? 0 : -1))
MYFS_CALL(ssize_t, copy_file_range,
          (int in, off_t* from, int out, off_t* to, size_t n, unsigned flags),
          (in, from, out, to, n, flags), copy_range(in, from, out, to, n, flags))
MYFS_CALL(int, clone_file, (int in, int out), (in, out), ::ioctl(out, FICLONE, in))
MYFS_CALL(int, clone_file_range, (int in, off_t from, int out, off_t to, off_t n),
          (in, from, out, to, n), clone_range(in, from, out, to, n))
MYFS_CALL(ssize_t, fiemap, (int fd, off_t at, off_t n, myfs_extent* out, size_t count),
          (fd, at, n, out, count), map_extents(fd, at, n, out, count))

// --- descriptors
MYFS_PLAIN_CALL(int, dup, (int fd), ::dup(fd))
MYFS_PLAIN_CALL(int, dup2, (int fd, int to), ::dup2(fd, to))
MYFS_PLAIN_CALL(int, dup3, (int fd, int to, int flags), ::dup3(fd, to, flags))
MYFS_PLAIN_CALL(int, fcntl, (int fd, int cmd, int64_t arg), control(fd, cmd, arg))
MYFS_CALL(int, close_range, (unsigned first, unsigned last, unsigned flags), (first, last, flags),
          ::syscall(SYS_close_range, first, last, flags))
MYFS_CALL(int, poll, (pollfd * fds, nfds_t n, int timeout), (fds, n, timeout),
          ::syscall(SYS_poll, fds, n, timeout))

// --- locks
MYFS_CALL(int, flock, (int fd, int operation), (fd, operation), ::flock(fd, operation))
MYFS_CALL(int, lock, (int fd, int cmd, struct flock* lock), (fd, cmd, lock), ::fcntl(fd, cmd, lock))
MYFS_CALL(int, lockf, (int fd, int cmd, off_t size), (fd, cmd, size), lock_from_here(fd, cmd, size))

// --- attributes
MYFS_CALL(int, stat, (Path path, struct stat* out), (path, out), ::stat(path, out))
MYFS_CALL(int, lstat, (Path path, struct stat* out), (path, out), ::lstat(path, out))
MYFS_CALL(int, fstat, (int fd, struct stat* out), (fd, out), ::fstat(fd, out))
MYFS_CALL(int, statx, (Path path, int flags, unsigned mask, struct statx* out),
          (path, flags, mask, out), ::statx(AT_FDCWD, path, flags, mask, out))
MYFS_CALL(int, chmod, (Path path, mode_t mode), (path, mode), ::chmod(path, mode))
MYFS_CALL(int, fchmod, (int fd, mode_t mode), (fd, mode), ::fchmod(fd, mode))
MYFS_CALL(int, chown, (Path path, uid_t uid, gid_t gid), (path, uid, gid), ::chown(path, uid, gid))
MYFS_CALL(int, lchown, (Path path, uid_t uid, gid_t gid), (path, uid, gid),
          ::lchown(path, uid, gid))
MYFS_CALL(int, fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid), ::fchown(fd, uid, gid))
MYFS_CALL(int, utimens, (Path path, const timespec* times, int flags), (path, times, flags),
          ::utimensat(AT_FDCWD, path, times, flags))
MYFS_CALL(int, futimens, (int fd, const timespec* times), (fd, times), ::futimens(fd, times))
MYFS_CALL(int, access, (Path path, int mode), (path, mode), ::access(path, mode))
MYFS_CALL(int, statfs, (Path path, struct statfs* out), (path, out), ::statfs(path, out))
MYFS_CALL(int, fstatfs, (int fd, struct statfs* out), (fd, out), ::fstatfs(fd, out))
MYFS_CALL(int, statvfs, (Path path, struct statvfs* out), (path, out),
          out != nullptr ? ::statvfs(path, out) : (errno = EFAULT, -1))
MYFS_CALL(int, fstatvfs, (int fd, struct statvfs* out), (fd, out),
          out != nullptr ? ::fstatvfs(fd, out) : (errno = EFAULT, -1))

// --- names
MYFS_CALL(int, mkdir, (Path path, mode_t mode), (path, mode), ::mkdir(path, mode))
MYFS_CALL(int, rmdir, (Path path), (path), ::rmdir(path))
MYFS_CALL(int, unlink, (Path path), (path), ::unlink(path))
MYFS_CALL(int, rename, (Path from, Path to), (from, to), ::rename(from, to))
MYFS_CALL(int, rename2, (Path from, Path to, unsigned flags), (from, to, flags),
          ::renameat2(AT_FDCWD, from, AT_FDCWD, to, flags))
MYFS_CALL(int, link, (Path from, Path to), (from, to), ::link(from, to))
MYFS_CALL(int, symlink, (Path target, Path path), (target, path), ::symlink(target, path))
MYFS_CALL(ssize_t, readlink, (Path path, char* to, size_t n), (path, to, n),
          ::syscall(SYS_readlink, path, to, n))
MYFS_CALL(int, mknod, (Path path, mode_t mode, dev_t dev), (path, mode, dev),
          ::mknod(path, mode, dev))
mode_t myfs_umask(myfs_task* t, mode_t mask) {
  return static_cast<mode_t>(t->run(nullptr, [&] { return ::umask(mask); }));
}
MYFS_CALL(int, chdir, (Path path), (path), ::chdir(path))
MYFS_PLAIN_CALL(int, fchdir, (int fd), ::fchdir(fd))
MYFS_PLAIN_CALL(ssize_t, getcwd, (char* to, size_t n), get_cwd(to, n))
MYFS_CALL(ssize_t, realpath, (Path path, char* to, size_t n), (path, to, n), real_path(path, to, n))
MYFS_CALL(int, chroot, (Path path), (path), ::chroot(path))

// --- relative to a directory
MYFS_CALL(int, openat, (int dir, Path path, int flags, mode_t mode), (dir, path, flags, mode),
          ::openat(dir, path, flags, mode))
MYFS_CALL(int, openat2, (int dir, Path path, const myfs_open_how* how), (dir, path, how),
          open_as(dir, path, how))
MYFS_CALL(int, mkdirat, (int dir, Path path, mode_t mode), (dir, path, mode),
          ::mkdirat(dir, path, mode))
MYFS_CALL(int, mknodat, (int dir, Path path, mode_t mode, dev_t dev), (dir, path, mode, dev),
          ::mknodat(dir, path, mode, dev))
MYFS_CALL(int, unlinkat, (int dir, Path path, int flags), (dir, path, flags),
          ::unlinkat(dir, path, flags))
MYFS_CALL(int, renameat2, (int a, Path from, int b, Path to, unsigned flags),
          (a, from, b, to, flags), ::renameat2(a, from, b, to, flags))
MYFS_CALL(int, linkat, (int a, Path from, int b, Path to, int flags), (a, from, b, to, flags),
          ::linkat(a, from, b, to, flags))
MYFS_CALL(int, symlinkat, (Path target, int dir, Path path), (target, dir, path),
          ::syscall(SYS_symlinkat, target, dir, path))
MYFS_CALL(ssize_t, readlinkat, (int dir, Path path, char* to, size_t n), (dir, path, to, n),
          ::syscall(SYS_readlinkat, dir, path, to, n))
MYFS_CALL(int, fchmodat, (int dir, Path path, mode_t mode, int flags), (dir, path, mode, flags),
          ::syscall(452 /* fchmodat2 */, dir, path, mode, flags))
MYFS_CALL(int, fchownat, (int dir, Path path, uid_t uid, gid_t gid, int flags),
          (dir, path, uid, gid, flags), ::fchownat(dir, path, uid, gid, flags))
MYFS_CALL(int, utimensat, (int dir, Path path, const timespec* times, int flags),
          (dir, path, times, flags), ::syscall(SYS_utimensat, dir, path, times, flags))
MYFS_CALL(int, faccessat, (int dir, Path path, int mode, int flags), (dir, path, mode, flags),
          ::syscall(SYS_faccessat2, dir, path, mode, flags))
MYFS_CALL(int, fstatat, (int dir, Path path, struct stat* out, int flags), (dir, path, out, flags),
          ::syscall(SYS_newfstatat, dir, path, out, flags))
MYFS_CALL(int, statxat, (int dir, Path path, int flags, unsigned mask, struct statx* out),
          (dir, path, flags, mask, out), ::syscall(SYS_statx, dir, path, flags, mask, out))

// --- extended attributes
MYFS_CALL(ssize_t, getxattr, (Path path, Path name, void* to, size_t n, int nofollow),
          (path, name, to, n, nofollow),
          (nofollow != 0 ? ::lgetxattr : ::getxattr)(path, name, to, n))
MYFS_CALL(int, setxattr,
          (Path path, Path name, const void* from, size_t n, int flags, int nofollow),
          (path, name, from, n, flags, nofollow),
          (nofollow != 0 ? ::lsetxattr : ::setxattr)(path, name, from, n, flags))
MYFS_CALL(ssize_t, listxattr, (Path path, char* to, size_t n, int nofollow),
          (path, to, n, nofollow), (nofollow != 0 ? ::llistxattr : ::listxattr)(path, to, n))
MYFS_CALL(int, removexattr, (Path path, Path name, int nofollow), (path, name, nofollow),
          (nofollow != 0 ? ::lremovexattr : ::removexattr)(path, name))
MYFS_CALL(ssize_t, lgetxattr, (Path path, Path name, void* to, size_t n), (path, name, to, n),
          ::lgetxattr(path, name, to, n))
MYFS_CALL(int, lsetxattr, (Path path, Path name, const void* from, size_t n, int flags),
          (path, name, from, n, flags), ::lsetxattr(path, name, from, n, flags))
MYFS_CALL(ssize_t, llistxattr, (Path path, char* to, size_t n), (path, to, n),
          ::llistxattr(path, to, n))
MYFS_CALL(int, lremovexattr, (Path path, Path name), (path, name), ::lremovexattr(path, name))
MYFS_CALL(ssize_t, fgetxattr, (int fd, Path name, void* to, size_t n), (fd, name, to, n),
          ::fgetxattr(fd, name, to, n))
MYFS_CALL(int, fsetxattr, (int fd, Path name, const void* from, size_t n, int flags),
          (fd, name, from, n, flags), ::fsetxattr(fd, name, from, n, flags))
MYFS_CALL(ssize_t, flistxattr, (int fd, char* to, size_t n), (fd, to, n), ::flistxattr(fd, to, n))
MYFS_CALL(int, fremovexattr, (int fd, Path name), (fd, name), ::fremovexattr(fd, name))

// --- directories
int myfs_opendir_x(myfs_task* t, const myfs_call* c, Path path, myfs_dir** dir) {
  return open_dir(t, myfs_open_x(t, c, path, O_RDONLY | O_DIRECTORY, 0), dir);
}
int myfs_opendir(myfs_task* t, Path path, myfs_dir** dir) {
  return myfs_opendir_x(t, nullptr, path, dir);
}
int myfs_opendirat_x(myfs_task* t, const myfs_call* c, int from, Path path, myfs_dir** dir) {
  return open_dir(t, myfs_openat_x(t, c, from, path, O_RDONLY | O_DIRECTORY, 0), dir);
}
int myfs_opendirat(myfs_task* t, int from, Path path, myfs_dir** dir) {
  return myfs_opendirat_x(t, nullptr, from, path, dir);
}
int myfs_fdopendir(myfs_task* t, int fd, myfs_dir** dir) { return open_dir_of(t, fd, dir); }
int myfs_readdir_x(myfs_dir* dir, const myfs_call* call, myfs_dirent* entry) {
  return read_dir(dir, call, entry, nullptr);
}
int myfs_readdirplus_x(myfs_dir* dir, const myfs_call* call, myfs_dirent* entry,
                       struct stat* attributes) {
  return read_dir(dir, call, entry, attributes);
}
int myfs_readdir(myfs_dir* dir, myfs_dirent* entry) {
  return read_dir(dir, nullptr, entry, nullptr);
}
int myfs_readdirplus(myfs_dir* dir, myfs_dirent* entry, struct stat* attributes) {
  return read_dir(dir, nullptr, entry, attributes);
}
int64_t myfs_telldir(myfs_dir* dir) { return dir->position; }
int myfs_seekdir(myfs_dir* dir, int64_t position) {
  const off_t result = myfs_lseek(dir->task, dir->fd, position, SEEK_SET);
  if (result < 0) return static_cast<int>(result);
  dir->at = dir->end = 0;
  dir->position = position;
  return 0;
}
int myfs_dirfd(myfs_dir* dir) { return dir->fd; }
int myfs_closedir(myfs_dir* dir) {
  const int result = myfs_close(dir->task, dir->fd);
  delete dir;
  return result;
}

}  // extern "C"
