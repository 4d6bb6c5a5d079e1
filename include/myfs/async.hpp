// MyFS for C++20: asynchronous operations as awaitables, over <myfs/async.h>.
//
//   myfs::Detached show(myfs::Async& async, std::string path) {
//     myfs::Result<int> fd = co_await async.open(path, O_RDONLY);
//     if (!fd) co_return report(fd.error());
//     std::vector<std::byte> bytes(4096);
//     myfs::Result<size_t> count = co_await async.pread(*fd, bytes, 0);
//     ...
//   }
//
// Each function names the C call that it makes, with the same meaning; co_await gives what the
// synchronous function of <myfs/myfs.hpp> returns. What is over at once does not suspend; otherwise
// the coroutine is resumed where callbacks run: in service(), or on the queue's thread.
//
// Lifetime: an awaitable holds copies of paths, and the places for results; buffers, credentials
// and the cancel token stay with the caller until it is resumed. A coroutine that waits is not to
// be destroyed: cancel what it waits for. Async refers to its Task's myfs_task as <myfs/async.h>
// says.
#pragma once

#include <myfs/async.h>
#include <myfs/myfs.hpp>

#include <climits>
#include <coroutine>
#include <exception>
#include <tuple>
#include <type_traits>

namespace myfs {
inline namespace api_v0 {

// What a coroutine returns that nobody awaits. It runs until its first suspension at once.
struct Detached {
  struct promise_type {
    Detached get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

namespace internal {
// What `result` and the place `out` mean as T.
template <typename T, typename Out>
Result<T> outcome(int64_t result, const Out& out) {
  if (result < 0) return Error::last(static_cast<int>(-result));
  if constexpr (std::is_void_v<T>) {
    return Result<void>();
  } else if constexpr (std::is_same_v<Out, std::monostate>) {
    return static_cast<T>(result);
  } else {
    return T(out);
  }
}

// A string for C where one was given; everything else as it is.
template <typename T>
const T& c_argument(const T& value) {
  return value;
}
inline const char* c_argument(const std::string& text) { return text.c_str(); }
}  // namespace internal

// One operation; submitted by co_await. Fn: the C function; Out: where it leaves its result.
template <typename T, auto Fn, typename Out, typename... Args>
class [[nodiscard]] Operation {
 public:
  Operation(myfs_async* queue, const Call& call, Args... args)
      : queue_(queue), call_(call.c()), args_(std::move(args)...) {}

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> waiting) {
    waiting_ = waiting;
    const myfs_op op{sizeof(myfs_op), &call_, &Operation::done, this, &result_};
    const int submitted =
        std::apply([&](const Args&... args) { return submit(op, args...); }, args_);
    // Accepted: this object belongs to the callback, which may have run.
    if (submitted == 0) return true;
    if (submitted < 0) result_ = submitted;
    return false;
  }
  Result<T> await_resume() { return internal::outcome<T>(result_, out_); }

 private:
  static void done(void* context, int64_t result) {
    auto* self = static_cast<Operation*>(context);
    self->result_ = result;
    self->waiting_.resume();
  }
  int submit(const myfs_op& op, const Args&... args) {
    if constexpr (std::is_same_v<Out, std::monostate>) {
      return Fn(queue_, &op, internal::c_argument(args)...);
    } else {
      return Fn(queue_, &op, internal::c_argument(args)..., &out_);
    }
  }

  myfs_async* queue_;
  myfs_call call_;
  std::tuple<Args...> args_;
  std::coroutine_handle<> waiting_;
  int64_t result_ = 0;
  [[no_unique_address]] Out out_{};
};

// The batches [myfs_stat_many]; the number of entries that succeeded.
inline Result<int> stat_many(Task& task, std::span<myfs_stat_entry> entries, int flags = 0,
                             const Call& call = {}) {
  const myfs_call c = call.c();
  const int r = myfs_stat_many_x(task.get(), &c, entries.data(), entries.size(), flags);
  if (r < 0) return Error::last(-r);
  return r;
}
inline Result<int> open_read_close_many(Task& task, std::span<myfs_read_entry> entries,
                                        const Call& call = {}) {
  const myfs_call c = call.c();
  const int r = myfs_open_read_close_many_x(task.get(), &c, entries.data(), entries.size());
  if (r < 0) return Error::last(-r);
  return r;
}

// A queue of asynchronous operations [myfs_async].
class Async {
 public:
  enum class Callbacks { kService = MYFS_ASYNC_SERVICE, kThread = MYFS_ASYNC_THREAD };

  static Result<Async> create(Task& task, Callbacks callbacks = Callbacks::kService,
                              unsigned workers = 0) {
    const myfs_async_options options{sizeof options, static_cast<int>(callbacks), workers};
    myfs_async* queue = nullptr;
    if (int r = myfs_async_create(task.get(), &options, &queue); r < 0) return Error::last(-r);
    return Async(queue);
  }
  myfs_async* get() const { return queue_.get(); }
  // -EINVAL: callbacks have a thread.
  int fd() const { return myfs_async_fd(get()); }
  int service(int max = INT_MAX) { return myfs_service(get(), max); }

  // --- files. Descriptors are those of myfs_open; File::fd() gives one.
  auto open(std::string path, int flags, mode_t mode = 0666, const Call& call = {}) {
    return make<int, myfs_async_open>(call, std::move(path), flags, mode);
  }
  auto close(int fd, const Call& call = {}) { return make<void, myfs_async_close>(call, fd); }
  auto read(int fd, std::span<std::byte> to, const Call& call = {}) {
    return make<size_t, myfs_async_read>(call, fd, static_cast<void*>(to.data()), to.size());
  }
  auto pread(int fd, std::span<std::byte> to, off_t offset, const Call& call = {}) {
    return make<size_t, myfs_async_pread>(call, fd, static_cast<void*>(to.data()), to.size(),
                                          offset);
  }
  auto preadv(int fd, std::span<const iovec> to, off_t offset, const Call& call = {}) {
    return make<size_t, myfs_async_preadv>(call, fd, to.data(), static_cast<int>(to.size()),
                                           offset);
  }
  auto write(int fd, std::span<const std::byte> from, const Call& call = {}) {
    return make<size_t, myfs_async_write>(call, fd, static_cast<const void*>(from.data()),
                                          from.size());
  }
  auto pwrite(int fd, std::span<const std::byte> from, off_t offset, const Call& call = {}) {
    return make<size_t, myfs_async_pwrite>(call, fd, static_cast<const void*>(from.data()),
                                           from.size(), offset);
  }
  auto pwritev(int fd, std::span<const iovec> from, off_t offset, const Call& call = {}) {
    return make<size_t, myfs_async_pwritev>(call, fd, from.data(), static_cast<int>(from.size()),
                                            offset);
  }
  auto lseek(int fd, off_t offset, int whence, const Call& call = {}) {
    return make<off_t, myfs_async_lseek>(call, fd, offset, whence);
  }
  auto truncate(std::string path, off_t size, const Call& call = {}) {
    return make<void, myfs_async_truncate>(call, std::move(path), size);
  }
  auto ftruncate(int fd, off_t size, const Call& call = {}) {
    return make<void, myfs_async_ftruncate>(call, fd, size);
  }
  auto fsync(int fd, const Call& call = {}) { return make<void, myfs_async_fsync>(call, fd); }
  auto fdatasync(int fd, const Call& call = {}) {
    return make<void, myfs_async_fdatasync>(call, fd);
  }
  auto sync(const Call& call = {}) { return make<void, myfs_async_sync>(call); }
  auto dup2(int fd, int to) { return make<int, myfs_async_dup2>({}, fd, to); }

  auto copy_file_range(int fd_in, off_t* offset_in, int fd_out, off_t* offset_out, size_t length,
                       const Call& call = {}) {
    return make<size_t, myfs_async_copy_file_range>(call, fd_in, offset_in, fd_out, offset_out,
                                                    length, 0u);
  }

  auto clone_file(int fd_in, int fd_out, const Call& call = {}) {
    return make<void, myfs_async_clone_file>(call, fd_in, fd_out);
  }
  auto clone_file_range(int fd_in, off_t offset_in, int fd_out, off_t offset_out, off_t size,
                        const Call& call = {}) {
    return make<void, myfs_async_clone_file_range>(call, fd_in, offset_in, fd_out, offset_out,
                                                   size);
  }

  auto fiemap(int fd, off_t offset, off_t size, std::span<myfs_extent> extents,
              const Call& call = {}) {
    return make<size_t, myfs_async_fiemap>(call, fd, offset, size, extents.data(), extents.size());
  }
  auto creat(std::string path, mode_t mode, const Call& call = {}) {
    return make<int, myfs_async_creat>(call, std::move(path), mode);
  }
  auto readv(int fd, std::span<const iovec> parts, const Call& call = {}) {
    return make<size_t, myfs_async_readv>(call, fd, parts.data(), static_cast<int>(parts.size()));
  }
  auto writev(int fd, std::span<const iovec> parts, const Call& call = {}) {
    return make<size_t, myfs_async_writev>(call, fd, parts.data(), static_cast<int>(parts.size()));
  }
  // flags: RWF_*; offset -1: at the position.
  auto preadv2(int fd, std::span<const iovec> parts, off_t offset, int flags = 0,
               const Call& call = {}) {
    return make<size_t, myfs_async_preadv2>(call, fd, parts.data(), static_cast<int>(parts.size()),
                                            offset, flags);
  }
  auto pwritev2(int fd, std::span<const iovec> parts, off_t offset, int flags = 0,
                const Call& call = {}) {
    return make<size_t, myfs_async_pwritev2>(call, fd, parts.data(), static_cast<int>(parts.size()),
                                             offset, flags);
  }
  auto fallocate(int fd, int mode, off_t offset, off_t length, const Call& call = {}) {
    return make<void, myfs_async_fallocate>(call, fd, mode, offset, length);
  }
  auto fadvise(int fd, off_t offset, off_t length, int advice, const Call& call = {}) {
    return make<void, myfs_async_posix_fadvise>(call, fd, offset, length, advice);
  }
  auto sync_range(int fd, off_t offset, off_t length, unsigned flags, const Call& call = {}) {
    return make<void, myfs_async_sync_file_range>(call, fd, offset, length, flags);
  }
  auto syncfs(int fd, const Call& call = {}) { return make<void, myfs_async_syncfs>(call, fd); }
  // `address` stays with the caller until the operation is over; what is mapped is for munmap.
  auto mmap(void* hint, size_t length, int prot, int flags, int fd, off_t offset, void** address,
            const Call& call = {}) {
    return make<void, myfs_async_mmap>(call, hint, length, prot, flags, fd, offset, address);
  }
  auto msync(void* address, size_t length, int flags, const Call& call = {}) {
    return make<void, myfs_async_msync>(call, address, length, flags);
  }
  auto munmap(void* address, size_t length, const Call& call = {}) {
    return make<void, myfs_async_munmap>(call, address, length);
  }
  auto dup3(int fd, int to, int flags = 0, const Call& call = {}) {
    return make<int, myfs_async_dup3>(call, fd, to, flags);
  }
  auto fcntl(int fd, int cmd, int64_t arg = 0, const Call& call = {}) {
    return make<int, myfs_async_fcntl>(call, fd, cmd, arg);
  }
  auto close_range(unsigned first, unsigned last, unsigned flags = 0, const Call& call = {}) {
    return make<void, myfs_async_close_range>(call, first, last, flags);
  }
  // How many are ready.
  auto poll(std::span<pollfd> fds, int timeout_ms, const Call& call = {}) {
    return make<int, myfs_async_poll>(call, fds.data(), static_cast<nfds_t>(fds.size()),
                                      timeout_ms);
  }

  // --- locks. `lock` stays with the caller until the operation is over.
  auto flock(int fd, int operation, const Call& call = {}) {
    return make<void, myfs_async_flock>(call, fd, operation);
  }
  auto lock(int fd, int cmd, struct flock* lock, const Call& call = {}) {
    return make<void, myfs_async_lock>(call, fd, cmd, lock);
  }
  auto lockf(int fd, int cmd, off_t size, const Call& call = {}) {
    return make<void, myfs_async_lockf>(call, fd, cmd, size);
  }

  // --- attributes
  auto stat(std::string path, const Call& call = {}) {
    return make_out<struct stat, myfs_async_stat>(call, std::move(path));
  }
  auto lstat(std::string path, const Call& call = {}) {
    return make_out<struct stat, myfs_async_lstat>(call, std::move(path));
  }
  auto fstat(int fd, const Call& call = {}) {
    return make_out<struct stat, myfs_async_fstat>(call, fd);
  }
  auto chmod(std::string path, mode_t mode, const Call& call = {}) {
    return make<void, myfs_async_chmod>(call, std::move(path), mode);
  }
  auto fchmod(int fd, mode_t mode, const Call& call = {}) {
    return make<void, myfs_async_fchmod>(call, fd, mode);
  }
  auto chown(std::string path, uid_t uid, gid_t gid, const Call& call = {}) {
    return make<void, myfs_async_chown>(call, std::move(path), uid, gid);
  }
  auto lchown(std::string path, uid_t uid, gid_t gid, const Call& call = {}) {
    return make<void, myfs_async_lchown>(call, std::move(path), uid, gid);
  }
  auto fchown(int fd, uid_t uid, gid_t gid, const Call& call = {}) {
    return make<void, myfs_async_fchown>(call, fd, uid, gid);
  }
  // `times` until the operation has been submitted, that is until co_await; null: now.
  auto utimens(std::string path, const timespec* times, int flags = 0, const Call& call = {}) {
    return make<void, myfs_async_utimens>(call, std::move(path), times, flags);
  }
  auto futimens(int fd, const timespec* times, const Call& call = {}) {
    return make<void, myfs_async_futimens>(call, fd, times);
  }
  auto access(std::string path, int mode, const Call& call = {}) {
    return make<void, myfs_async_access>(call, std::move(path), mode);
  }
  auto statfs(std::string path, const Call& call = {}) {
    return make_out<struct statfs, myfs_async_statfs>(call, std::move(path));
  }
  auto fstatfs(int fd, const Call& call = {}) {
    return make_out<struct statfs, myfs_async_fstatfs>(call, fd);
  }
  // `out` stays with the caller, since struct statx has two headers.
  auto statx(std::string path, int flags, unsigned mask, struct ::statx* out,
             const Call& call = {}) {
    return make<void, myfs_async_statx>(call, std::move(path), flags, mask, out);
  }
  auto statvfs(std::string path, const Call& call = {}) {
    return make_out<struct statvfs, myfs_async_statvfs>(call, std::move(path));
  }
  auto fstatvfs(int fd, const Call& call = {}) {
    return make_out<struct statvfs, myfs_async_fstatvfs>(call, fd);
  }
  auto server_operations(std::string path, const Call& call = {}) {
    return make_out<uint64_t, myfs_async_server_operations>(call, std::move(path));
  }

  // --- names
  auto mkdir(std::string path, mode_t mode = 0777, const Call& call = {}) {
    return make<void, myfs_async_mkdir>(call, std::move(path), mode);
  }
  auto rmdir(std::string path, const Call& call = {}) {
    return make<void, myfs_async_rmdir>(call, std::move(path));
  }
  auto unlink(std::string path, const Call& call = {}) {
    return make<void, myfs_async_unlink>(call, std::move(path));
  }
  auto rename(std::string from, std::string to, unsigned flags = 0, const Call& call = {}) {
    return make<void, myfs_async_rename2>(call, std::move(from), std::move(to), flags);
  }
  auto link(std::string from, std::string to, const Call& call = {}) {
    return make<void, myfs_async_link>(call, std::move(from), std::move(to));
  }
  auto symlink(std::string target, std::string path, const Call& call = {}) {
    return make<void, myfs_async_symlink>(call, std::move(target), std::move(path));
  }
  // Into `to`; the number of bytes.
  auto readlink(std::string path, std::span<char> to, const Call& call = {}) {
    return make<size_t, myfs_async_readlink>(call, std::move(path), to.data(), to.size());
  }
  auto mknod(std::string path, mode_t mode, dev_t dev = 0, const Call& call = {}) {
    return make<void, myfs_async_mknod>(call, std::move(path), mode, dev);
  }
  auto chdir(std::string path, const Call& call = {}) {
    return make<void, myfs_async_chdir>(call, std::move(path));
  }
  auto fchdir(int fd) { return make<void, myfs_async_fchdir>({}, fd); }
  // Into `to`; the length with NUL.
  auto getcwd(std::span<char> to) {
    return make<size_t, myfs_async_getcwd>({}, to.data(), to.size());
  }
  auto realpath(std::string path, std::span<char> to, const Call& call = {}) {
    return make<size_t, myfs_async_realpath>(call, std::move(path), to.data(), to.size());
  }
  auto chroot(std::string path, const Call& call = {}) {
    return make<void, myfs_async_chroot>(call, std::move(path));
  }

  // --- relative to a directory: a descriptor, or AT_FDCWD
  auto openat(int dirfd, std::string path, int flags, mode_t mode = 0666, const Call& call = {}) {
    return make<int, myfs_async_openat>(call, dirfd, std::move(path), flags, mode);
  }
  // `how` until the operation has been submitted, that is until co_await.
  auto openat2(int dirfd, std::string path, const myfs_open_how* how, const Call& call = {}) {
    return make<int, myfs_async_openat2>(call, dirfd, std::move(path), how);
  }
  auto mkdirat(int dirfd, std::string path, mode_t mode = 0777, const Call& call = {}) {
    return make<void, myfs_async_mkdirat>(call, dirfd, std::move(path), mode);
  }
  auto mknodat(int dirfd, std::string path, mode_t mode, dev_t dev = 0, const Call& call = {}) {
    return make<void, myfs_async_mknodat>(call, dirfd, std::move(path), mode, dev);
  }
  auto unlinkat(int dirfd, std::string path, int flags = 0, const Call& call = {}) {
    return make<void, myfs_async_unlinkat>(call, dirfd, std::move(path), flags);
  }
  auto renameat(int from_dirfd, std::string from, int to_dirfd, std::string to, unsigned flags = 0,
                const Call& call = {}) {
    return make<void, myfs_async_renameat2>(call, from_dirfd, std::move(from), to_dirfd,
                                            std::move(to), flags);
  }
  auto linkat(int from_dirfd, std::string from, int to_dirfd, std::string to, int flags = 0,
              const Call& call = {}) {
    return make<void, myfs_async_linkat>(call, from_dirfd, std::move(from), to_dirfd, std::move(to),
                                         flags);
  }
  auto symlinkat(std::string target, int dirfd, std::string path, const Call& call = {}) {
    return make<void, myfs_async_symlinkat>(call, std::move(target), dirfd, std::move(path));
  }
  auto readlinkat(int dirfd, std::string path, std::span<char> buffer, const Call& call = {}) {
    return make<size_t, myfs_async_readlinkat>(call, dirfd, std::move(path), buffer.data(),
                                               buffer.size());
  }
  auto chmodat(int dirfd, std::string path, mode_t mode, int flags = 0, const Call& call = {}) {
    return make<void, myfs_async_fchmodat>(call, dirfd, std::move(path), mode, flags);
  }
  auto chownat(int dirfd, std::string path, uid_t uid, gid_t gid, int flags = 0,
               const Call& call = {}) {
    return make<void, myfs_async_fchownat>(call, dirfd, std::move(path), uid, gid, flags);
  }
  // `times` as of utimens.
  auto utimensat(int dirfd, std::string path, const timespec* times, int flags = 0,
                 const Call& call = {}) {
    return make<void, myfs_async_utimensat>(call, dirfd, std::move(path), times, flags);
  }
  auto accessat(int dirfd, std::string path, int mode, int flags = 0, const Call& call = {}) {
    return make<void, myfs_async_faccessat>(call, dirfd, std::move(path), mode, flags);
  }
  auto statat(int dirfd, std::string path, struct stat* out, int flags = 0, const Call& call = {}) {
    return make<void, myfs_async_fstatat>(call, dirfd, std::move(path), out, flags);
  }
  auto statxat(int dirfd, std::string path, int flags, unsigned mask, struct ::statx* out,
               const Call& call = {}) {
    return make<void, myfs_async_statxat>(call, dirfd, std::move(path), flags, mask, out);
  }

  // --- extended attributes
  auto getxattr(std::string path, std::string name, std::span<std::byte> to, bool nofollow = false,
                const Call& call = {}) {
    return make<size_t, myfs_async_getxattr>(call, std::move(path), std::move(name),
                                             static_cast<void*>(to.data()), to.size(),
                                             static_cast<int>(nofollow));
  }
  auto setxattr(std::string path, std::string name, std::span<const std::byte> value, int flags = 0,
                bool nofollow = false, const Call& call = {}) {
    return make<void, myfs_async_setxattr>(call, std::move(path), std::move(name),
                                           static_cast<const void*>(value.data()), value.size(),
                                           flags, static_cast<int>(nofollow));
  }
  auto listxattr(std::string path, std::span<char> to, bool nofollow = false,
                 const Call& call = {}) {
    return make<size_t, myfs_async_listxattr>(call, std::move(path), to.data(), to.size(),
                                              static_cast<int>(nofollow));
  }
  auto removexattr(std::string path, std::string name, bool nofollow = false,
                   const Call& call = {}) {
    return make<void, myfs_async_removexattr>(call, std::move(path), std::move(name),
                                              static_cast<int>(nofollow));
  }
  auto lgetxattr(std::string path, std::string name, std::span<std::byte> value,
                 const Call& call = {}) {
    return make<size_t, myfs_async_lgetxattr>(call, std::move(path), std::move(name),
                                              static_cast<void*>(value.data()), value.size());
  }
  auto lsetxattr(std::string path, std::string name, std::span<const std::byte> value,
                 int flags = 0, const Call& call = {}) {
    return make<void, myfs_async_lsetxattr>(call, std::move(path), std::move(name),
                                            static_cast<const void*>(value.data()), value.size(),
                                            flags);
  }
  auto llistxattr(std::string path, std::span<char> list, const Call& call = {}) {
    return make<size_t, myfs_async_llistxattr>(call, std::move(path), list.data(), list.size());
  }
  auto lremovexattr(std::string path, std::string name, const Call& call = {}) {
    return make<void, myfs_async_lremovexattr>(call, std::move(path), std::move(name));
  }
  auto fgetxattr(int fd, std::string name, std::span<std::byte> value, const Call& call = {}) {
    return make<size_t, myfs_async_fgetxattr>(call, fd, std::move(name),
                                              static_cast<void*>(value.data()), value.size());
  }
  auto fsetxattr(int fd, std::string name, std::span<const std::byte> value, int flags = 0,
                 const Call& call = {}) {
    return make<void, myfs_async_fsetxattr>(
        call, fd, std::move(name), static_cast<const void*>(value.data()), value.size(), flags);
  }
  auto flistxattr(int fd, std::span<char> list, const Call& call = {}) {
    return make<size_t, myfs_async_flistxattr>(call, fd, list.data(), list.size());
  }
  auto fremovexattr(int fd, std::string name, const Call& call = {}) {
    return make<void, myfs_async_fremovexattr>(call, fd, std::move(name));
  }

  // --- batches; the number of entries that succeeded
  auto stat_many(std::span<myfs_stat_entry> entries, int flags = 0, const Call& call = {}) {
    return make<int, myfs_async_stat_many>(call, entries.data(), entries.size(), flags);
  }
  auto open_read_close_many(std::span<myfs_read_entry> entries, const Call& call = {}) {
    return make<int, myfs_async_open_read_close_many>(call, entries.data(), entries.size());
  }

  // --- directories and mounts
  auto opendir(std::string path, const Call& call = {}) {
    return make_out<myfs_dir*, myfs_async_opendir>(call, std::move(path));
  }
  auto opendirat(int dirfd, std::string path, const Call& call = {}) {
    return make_out<myfs_dir*, myfs_async_opendirat>(call, dirfd, std::move(path));
  }
  // 1: `entry` has one; 0: the end.
  auto readdir(myfs_dir* dir, myfs_dirent* entry, const Call& call = {}) {
    return make<int, myfs_async_readdir>(call, dir, entry);
  }
  auto readdirplus(myfs_dir* dir, myfs_dirent* entry, struct stat* attributes,
                   const Call& call = {}) {
    return make<int, myfs_async_readdirplus>(call, dir, entry, attributes);
  }
  auto closedir(myfs_dir* dir) { return make<void, myfs_async_closedir>({}, dir); }
  auto mount(std::string url, std::string at, const myfs_mount_options* options = nullptr) {
    return make<void, myfs_async_mount>({}, std::move(url), std::move(at), options);
  }
  auto umount(std::string at, int flags = 0) {
    return make<void, myfs_async_umount>({}, std::move(at), flags);
  }

 private:
  struct Destroy {
    void operator()(myfs_async* queue) const { myfs_async_destroy(queue); }
  };
  explicit Async(myfs_async* queue) : queue_(queue) {}

  template <typename T, auto Fn, typename... Args>
  Operation<T, Fn, std::monostate, Args...> make(const Call& call, Args... args) {
    return {get(), call, std::move(args)...};
  }
  // The last argument of Fn is the place for a T.
  template <typename T, auto Fn, typename... Args>
  Operation<T, Fn, T, Args...> make_out(const Call& call, Args... args) {
    return {get(), call, std::move(args)...};
  }

  std::unique_ptr<myfs_async, Destroy> queue_;
};

}  // namespace api_v0
}  // namespace myfs
