// MyFS for C++20: the C interface of <myfs/myfs.h> with owners that clean up and results that
// cannot be overlooked.
//
//   auto task = myfs::Task::open("myfs+unix:/run/myfs.sock");
//   if (!task) return report(task.error());
//   auto file = task->open_file("/a/b", O_RDONLY);
//
// A thin layer: each function makes exactly one C call of the same name, with the same meaning,
// errors and sources; only what differs is told here. Nothing throws but std::bad_alloc.
//
// Thread safety: Task, File and Dir may be used from many threads at a time, moved and destroyed by
// one only. Ownership: Task owns its mounts and descriptors; File and Dir refer to their Task and
// must not outlive it.
#pragma once

#include <myfs/myfs.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace myfs {
// The version names the binary interface, and keeps these names apart from the library's own.
inline namespace api_v0 {

// A failure: the errno, and what myfs_last_error() told when it happened.
class Error {
 public:
  explicit Error(int error) : error_(error) {}
  // Of the calling thread's last failed call.
  static Error last(int error) {
    Error result(error);
    auto detail = std::make_shared<myfs_error>();
    detail->size = sizeof(myfs_error);
    if (myfs_last_error(detail.get()) == 0 && detail->error == error) {
      result.detail_ = std::move(detail);
    }
    return result;
  }

  int value() const { return error_; }  // ENOENT, ...
  const char* text() const { return ::strerrordesc_np(error_); }
  const char* name() const { return ::strerrorname_np(error_); }
  bool retriable() const { return detail_ != nullptr && detail_->retriable != 0; }
  bool in_doubt() const { return detail_ != nullptr && detail_->in_doubt != 0; }
  // Null if nothing more is known.
  const myfs_error* detail() const { return detail_.get(); }
  // One line for people.
  std::string message() const {
    std::string result = text() != nullptr ? text() : "unknown error";
    if (detail_ != nullptr && detail_->message[0] != '\0') {
      result.append(": ").append(detail_->message);
    }
    return result;
  }

 private:
  int error_;
  std::shared_ptr<const myfs_error> detail_;
};

// A value or an Error.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  // Preconditions: ok() for the value, !ok() for the error.
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}
  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

namespace internal {
inline Result<void> check(int result) {
  if (result < 0) return Error::last(-result);
  return {};
}
inline Result<size_t> count(ssize_t result) {
  if (result < 0) return Error::last(static_cast<int>(-result));
  return static_cast<size_t>(result);
}
// What `get(buffer, size)` stores, however long it is; size 0 asks for the length.
template <typename Get>
Result<std::string> text(Get&& get) {
  while (true) {
    const ssize_t size = get(nullptr, 0);
    if (size <= 0)
      return size < 0 ? Result<std::string>(Error::last(static_cast<int>(-size))) : std::string();
    std::string buffer(static_cast<size_t>(size), '\0');
    const ssize_t stored = get(buffer.data(), buffer.size());
    if (stored == -ERANGE) continue;  // it has grown meanwhile
    if (stored < 0) return Error::last(static_cast<int>(-stored));
    buffer.resize(static_cast<size_t>(stored));
    return buffer;
  }
}
}  // namespace internal

// Cancels the calls that carry it [myfs_cancel].
class CancelToken {
 public:
  CancelToken() : cancel_(myfs_cancel_create()) {}
  void fire() { myfs_cancel_fire(cancel_.get()); }
  myfs_cancel* get() const { return cancel_.get(); }

 private:
  struct Destroy {
    void operator()(myfs_cancel* cancel) const { myfs_cancel_destroy(cancel); }
  };
  std::unique_ptr<myfs_cancel, Destroy> cancel_;
};

// How one call is made; converts from nothing: task.stat("/a") and task.stat("/a", {.deadline_ms =
// 50}).
struct Call {
  int64_t deadline_ms = 0;
  const CancelToken* cancel = nullptr;
  const myfs_cred* cred = nullptr;

  myfs_call c() const {
    return myfs_call{sizeof(myfs_call), cred, deadline_ms,
                     cancel != nullptr ? cancel->get() : nullptr};
  }
};

class Task;

// A mapping of a file [mmap]; takes itself away. unmap() tells what taking it away by the
// destructor would swallow.
class Mapping {
 public:
  Mapping(Mapping&& other) noexcept
      : task_(other.task_),
        address_(std::exchange(other.address_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(task_, other.task_);
    std::swap(address_, other.address_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Mapping() {
    if (address_ != nullptr) myfs_munmap(task_, address_, size_);
  }

  std::byte* data() const { return static_cast<std::byte*>(address_); }
  size_t size() const { return size_; }
  std::span<std::byte> bytes() const { return {data(), size_}; }
  // flags: MS_*. The pages of [offset, offset + length), all by default.
  Result<void> sync(int flags, size_t offset = 0, std::optional<size_t> length = {},
                    const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(
        myfs_msync_x(task_, &c, data() + offset, length.value_or(size_ - offset), flags));
  }
  Result<void> unmap(const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(
        myfs_munmap_x(task_, &c, std::exchange(address_, nullptr), std::exchange(size_, 0)));
  }

 private:
  friend class File;
  Mapping(myfs_task* task, void* address, size_t size)
      : task_(task), address_(address), size_(size) {}

  myfs_task* task_;
  void* address_;
  size_t size_;
};

// An open descriptor; closes itself. close() tells what closing by the destructor would swallow.
class File {
 public:
  File(File&& other) noexcept : task_(other.task_), fd_(std::exchange(other.fd_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(task_, other.task_);
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~File() {
    if (fd_ >= 0) myfs_close(task_, fd_);
  }

  int fd() const { return fd_; }
  Result<void> close(const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_close_x(task_, &c, std::exchange(fd_, -1)));
  }
  Result<size_t> read(std::span<std::byte> buffer, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::count(myfs_read_x(task_, &c, fd_, buffer.data(), buffer.size()));
  }
  Result<size_t> pread(std::span<std::byte> buffer, off_t offset, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::count(myfs_pread_x(task_, &c, fd_, buffer.data(), buffer.size(), offset));
  }
  Result<size_t> write(std::span<const std::byte> buffer, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::count(myfs_write_x(task_, &c, fd_, buffer.data(), buffer.size()));
  }
  Result<size_t> write(std::string_view text, const Call& call = {}) {
    return write(std::as_bytes(std::span(text.data(), text.size())), call);
  }
  Result<size_t> pwrite(std::span<const std::byte> buffer, off_t offset, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::count(myfs_pwrite_x(task_, &c, fd_, buffer.data(), buffer.size(), offset));
  }
  Result<off_t> lseek(off_t offset, int whence) {
    off_t result = myfs_lseek(task_, fd_, offset, whence);
    if (result < 0) return Error::last(static_cast<int>(-result));
    return result;
  }
  Result<void> truncate(off_t size, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_ftruncate_x(task_, &c, fd_, size));
  }
  // To `out`, at the server. No offset: the position.
  Result<size_t> copy_to(File& out, size_t size, std::optional<off_t> offset = {},
                         std::optional<off_t> out_offset = {}, const Call& call = {}) {
    myfs_call c = call.c();
    off_t from = offset.value_or(0), to = out_offset.value_or(0);
    return internal::count(myfs_copy_file_range_x(task_, &c, fd_, offset ? &from : nullptr, out.fd_,
                                                  out_offset ? &to : nullptr, size, 0));
  }
  // `out` shares the content, all of it or a range; size 0: to the end.
  Result<void> clone_to(File& out, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_clone_file_x(task_, &c, fd_, out.fd_));
  }
  Result<void> clone_to(File& out, off_t size, off_t offset, off_t out_offset,
                        const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(
        myfs_clone_file_range_x(task_, &c, fd_, offset, out.fd_, out_offset, size));
  }
  // To, or from, a descriptor of the process. flags: SPLICE_F_*.
  Result<size_t> splice_to(int kernel_fd, size_t size, std::optional<off_t> offset = {},
                           unsigned flags = 0, const Call& call = {}) {
    myfs_call c = call.c();
    off_t at = offset.value_or(0);
    return internal::count(myfs_splice_x(task_, &c, fd_, offset ? &at : nullptr, kernel_fd, nullptr,
                                         size, flags & ~MYFS_SPLICE_IN));
  }
  Result<size_t> splice_from(int kernel_fd, size_t size, std::optional<off_t> offset = {},
                             unsigned flags = 0, const Call& call = {}) {
    myfs_call c = call.c();
    off_t at = offset.value_or(0);
    return internal::count(myfs_splice_x(task_, &c, fd_, offset ? &at : nullptr, kernel_fd, nullptr,
                                         size, flags | MYFS_SPLICE_IN));
  }
  // Number of extents stored.
  Result<size_t> fiemap(off_t offset, off_t size, std::span<myfs_extent> extents,
                        const Call& call = {}) {
    myfs_call c = call.c();
    return internal::count(
        myfs_fiemap_x(task_, &c, fd_, offset, size, extents.data(), extents.size()));
  }
  // prot: PROT_*, flags: MAP_*.
  Result<Mapping> mmap(size_t length, int prot, int flags, off_t offset = 0,
                       const Call& call = {}) {
    myfs_call c = call.c();
    void* address = nullptr;
    int r = myfs_mmap_x(task_, &c, nullptr, length, prot, flags, fd_, offset, &address);
    if (r < 0) return Error::last(-r);
    return Mapping(task_, address, length);
  }
  Result<void> fsync(const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_fsync_x(task_, &c, fd_));
  }
  Result<void> fdatasync(const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_fdatasync_x(task_, &c, fd_));
  }
  Result<struct stat> stat(const Call& call = {}) {
    myfs_call c = call.c();
    struct stat out;
    if (int r = myfs_fstat_x(task_, &c, fd_, &out); r < 0) return Error::last(-r);
    return out;
  }
  Result<void> chmod(mode_t mode, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_fchmod_x(task_, &c, fd_, mode));
  }
  Result<void> chown(uid_t uid, gid_t gid, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_fchown_x(task_, &c, fd_, uid, gid));
  }
  Result<void> flock(int operation, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_flock_x(task_, &c, fd_, operation));
  }
  Result<void> lock(int cmd, struct ::flock& lock, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_lock_x(task_, &c, fd_, cmd, &lock));
  }
  Result<void> lockf(int cmd, off_t size, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_lockf_x(task_, &c, fd_, cmd, size));
  }
  // No value: now.
  Result<void> utimens(const std::optional<std::pair<timespec, timespec>>& times,
                       const Call& call = {}) {
    myfs_call c = call.c();
    timespec both[2];
    if (times.has_value()) both[0] = times->first, both[1] = times->second;
    return internal::check(myfs_futimens_x(task_, &c, fd_, times.has_value() ? both : nullptr));
  }
  // flags: RWF_*; offset -1: at the position.
  Result<size_t> preadv2(std::span<const iovec> parts, off_t offset, int flags = 0,
                         const Call& call = {}) {
    myfs_call c = call.c();
    return internal::count(myfs_preadv2_x(task_, &c, fd_, parts.data(),
                                          static_cast<int>(parts.size()), offset, flags));
  }
  Result<size_t> pwritev2(std::span<const iovec> parts, off_t offset, int flags = 0,
                          const Call& call = {}) {
    myfs_call c = call.c();
    return internal::count(myfs_pwritev2_x(task_, &c, fd_, parts.data(),
                                           static_cast<int>(parts.size()), offset, flags));
  }
  Result<void> fallocate(int mode, off_t offset, off_t length, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_fallocate_x(task_, &c, fd_, mode, offset, length));
  }
  Result<void> fadvise(off_t offset, off_t length, int advice, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_posix_fadvise_x(task_, &c, fd_, offset, length, advice));
  }
  Result<void> sync_range(off_t offset, off_t length, unsigned flags, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_sync_file_range_x(task_, &c, fd_, offset, length, flags));
  }
  Result<void> syncfs(const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_syncfs_x(task_, &c, fd_));
  }
  Result<struct statvfs> statvfs(const Call& call = {}) {
    myfs_call c = call.c();
    struct statvfs out;
    if (int r = myfs_fstatvfs_x(task_, &c, fd_, &out); r < 0) return Error::last(-r);
    return out;
  }
  Result<std::string> getxattr(const std::string& name, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::text([&](char* buffer, size_t size) {
      return myfs_fgetxattr_x(task_, &c, fd_, name.c_str(), buffer, size);
    });
  }
  Result<void> setxattr(const std::string& name, std::string_view value, int flags = 0,
                        const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(
        myfs_fsetxattr_x(task_, &c, fd_, name.c_str(), value.data(), value.size(), flags));
  }
  // Each name with a NUL behind it.
  Result<std::string> listxattr(const Call& call = {}) {
    myfs_call c = call.c();
    return internal::text(
        [&](char* buffer, size_t size) { return myfs_flistxattr_x(task_, &c, fd_, buffer, size); });
  }
  Result<void> removexattr(const std::string& name, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_fremovexattr_x(task_, &c, fd_, name.c_str()));
  }
  // F_DUPFD and F_DUPFD_CLOEXEC: dup().
  Result<int> fcntl(int cmd, int64_t arg = 0) {
    int r = myfs_fcntl(task_, fd_, cmd, arg);
    if (r < 0) return Error::last(-r);
    return r;
  }
  // Its descriptor is nobody's to close any more [as of std::unique_ptr].
  int release() { return std::exchange(fd_, -1); }
  // Of the same open file at the descriptor `to`, which it closes first; flags: 0 or O_CLOEXEC.
  Result<File> dup3(int to, int flags = 0) {
    int fd = myfs_dup3(task_, fd_, to, flags);
    if (fd < 0) return Error::last(-fd);
    return File(task_, fd);
  }
  // The lowest free descriptor from `lowest` on.
  Result<File> dup(int lowest = 0, bool close_on_exec = false) {
    int fd = myfs_fcntl(task_, fd_, close_on_exec ? F_DUPFD_CLOEXEC : F_DUPFD, lowest);
    if (fd < 0) return Error::last(-fd);
    return File(task_, fd);
  }

 private:
  friend class Task;
  File(myfs_task* task, int fd) : task_(task), fd_(fd) {}
  myfs_task* task_;
  int fd_;
};

// An open directory; closes itself.
class Dir {
 public:
  struct Entry {
    myfs_dirent dirent;
    struct stat attributes;  // of next_plus() only; st_ino 0: unknown
    std::string_view name() const { return {dirent.name, dirent.name_length}; }
  };

  // No value: the end.
  Result<std::optional<Entry>> next(const Call& call = {}) {
    myfs_call c = call.c();
    Entry entry{};
    int r = myfs_readdir_x(dir_.get(), &c, &entry.dirent);
    return result(r, entry);
  }
  Result<std::optional<Entry>> next_plus(const Call& call = {}) {
    myfs_call c = call.c();
    Entry entry{};
    int r = myfs_readdirplus_x(dir_.get(), &c, &entry.dirent, &entry.attributes);
    return result(r, entry);
  }
  int64_t tell() const { return myfs_telldir(dir_.get()); }
  Result<void> seek(int64_t position) {
    return internal::check(myfs_seekdir(dir_.get(), position));
  }
  int fd() const { return myfs_dirfd(dir_.get()); }

 private:
  friend class Task;
  struct Close {
    void operator()(myfs_dir* dir) const { myfs_closedir(dir); }
  };
  explicit Dir(myfs_dir* dir) : dir_(dir) {}
  static Result<std::optional<Entry>> result(int r, const Entry& entry) {
    if (r < 0) return Error::last(-r);
    return r == 0 ? std::optional<Entry>() : std::optional<Entry>(entry);
  }
  std::unique_ptr<myfs_dir, Close> dir_;
};

// The caller's view of its mounts [task_struct].
class Task {
 public:
  // Without mounts. cred null: the process's own.
  static Result<Task> create(const myfs_cred* cred = nullptr) {
    myfs_task* task = nullptr;
    if (int r = myfs_task_create(cred, &task); r < 0) return Error::last(-r);
    return Task(task);
  }
  // With `url` mounted at "/".
  static Result<Task> open(const std::string& url, const std::string& options = {}) {
    myfs_task* task = nullptr;
    myfs_mount_options o{sizeof o, options.c_str(), nullptr};
    if (int r = myfs_open_url(url.c_str(), &o, &task); r < 0) return Error::last(-r);
    return Task(task);
  }

  myfs_task* get() const { return task_.get(); }
  // Ends the task and tells the first failure of writing data back; the destructor swallows it.
  Result<void> close() { return internal::check(myfs_task_destroy(task_.release())); }

  Result<void> mount(const std::string& url, const std::string& at, const std::string& options = {},
                     const Call& call = {}) {
    myfs_call c = call.c();
    myfs_mount_options o{sizeof o, options.c_str(), nullptr};
    return internal::check(myfs_mount_x(get(), &c, url.c_str(), at.c_str(), &o));
  }
  Result<void> umount(const std::string& at, int flags = 0, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_umount_x(get(), &c, at.c_str(), flags));
  }
  // flags: MS_REC.
  Result<void> bind(const std::string& from, const std::string& at, unsigned long flags = 0,
                    const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_bind_x(get(), &c, from.c_str(), at.c_str(), flags));
  }
  Result<void> move_mount(const std::string& from, const std::string& at, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_move_mount_x(get(), &c, from.c_str(), at.c_str()));
  }
  // attr.size is filled in; flags: AT_RECURSIVE.
  Result<void> mount_setattr(const std::string& at, myfs_mount_attr attr, unsigned flags = 0,
                             const Call& call = {}) {
    myfs_call c = call.c();
    attr.size = sizeof attr;
    return internal::check(myfs_mount_setattr_x(get(), &c, at.c_str(), flags, &attr));
  }
  Result<void> remount(const std::string& at, const std::string& options, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_remount_x(get(), &c, at.c_str(), options.c_str()));
  }
  Result<void> freeze(const std::string& path, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_freeze_x(get(), &c, path.c_str()));
  }
  Result<void> thaw(const std::string& path, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_thaw_x(get(), &c, path.c_str()));
  }
  // A task in a copy of the mounts; cred null: this task's.
  Result<Task> clone(const myfs_cred* cred = nullptr) {
    myfs_task* copy = nullptr;
    if (int r = myfs_task_clone(get(), cred, &copy); r < 0) return Error::last(-r);
    return Task(copy);
  }
  Result<std::string> mountinfo() {
    return internal::text(
        [&](char* buffer, size_t size) { return myfs_mountinfo(get(), buffer, size); });
  }
  Result<File> open_file(const std::string& path, int flags, mode_t mode = 0666,
                         const Call& call = {}) {
    myfs_call c = call.c();
    int fd = myfs_open_x(get(), &c, path.c_str(), flags, mode);
    if (fd < 0) return Error::last(-fd);
    return File(get(), fd);
  }
  Result<Dir> open_dir(const std::string& path, const Call& call = {}) {
    myfs_call c = call.c();
    myfs_dir* dir = nullptr;
    if (int r = myfs_opendir_x(get(), &c, path.c_str(), &dir); r < 0) return Error::last(-r);
    return Dir(dir);
  }
  Result<struct stat> stat(const std::string& path, const Call& call = {}) {
    myfs_call c = call.c();
    struct stat out;
    if (int r = myfs_stat_x(get(), &c, path.c_str(), &out); r < 0) return Error::last(-r);
    return out;
  }
  Result<struct stat> lstat(const std::string& path, const Call& call = {}) {
    myfs_call c = call.c();
    struct stat out;
    if (int r = myfs_lstat_x(get(), &c, path.c_str(), &out); r < 0) return Error::last(-r);
    return out;
  }
  Result<struct statfs> statfs(const std::string& path, const Call& call = {}) {
    myfs_call c = call.c();
    struct statfs out;
    if (int r = myfs_statfs_x(get(), &c, path.c_str(), &out); r < 0) return Error::last(-r);
    return out;
  }
  Result<void> mkdir(const std::string& path, mode_t mode = 0777, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_mkdir_x(get(), &c, path.c_str(), mode));
  }
  Result<void> rmdir(const std::string& path, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_rmdir_x(get(), &c, path.c_str()));
  }
  Result<void> unlink(const std::string& path, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_unlink_x(get(), &c, path.c_str()));
  }
  Result<void> rename(const std::string& from, const std::string& to, unsigned flags = 0,
                      const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_rename2_x(get(), &c, from.c_str(), to.c_str(), flags));
  }
  Result<void> link(const std::string& from, const std::string& to, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_link_x(get(), &c, from.c_str(), to.c_str()));
  }
  Result<void> symlink(const std::string& target, const std::string& path, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_symlink_x(get(), &c, target.c_str(), path.c_str()));
  }
  Result<std::string> readlink(const std::string& path, const Call& call = {}) {
    myfs_call c = call.c();
    char buffer[4096];
    ssize_t r = myfs_readlink_x(get(), &c, path.c_str(), buffer, sizeof buffer);
    if (r < 0) return Error::last(static_cast<int>(-r));
    return std::string(buffer, static_cast<size_t>(r));
  }
  Result<void> mknod(const std::string& path, mode_t mode, dev_t dev = 0, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_mknod_x(get(), &c, path.c_str(), mode, dev));
  }
  Result<void> chmod(const std::string& path, mode_t mode, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_chmod_x(get(), &c, path.c_str(), mode));
  }
  Result<void> chown(const std::string& path, uid_t uid, gid_t gid, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_chown_x(get(), &c, path.c_str(), uid, gid));
  }
  Result<void> lchown(const std::string& path, uid_t uid, gid_t gid, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_lchown_x(get(), &c, path.c_str(), uid, gid));
  }
  Result<void> utimens(const std::string& path, const timespec (&times)[2], int flags = 0,
                       const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_utimens_x(get(), &c, path.c_str(), times, flags));
  }
  Result<void> truncate(const std::string& path, off_t size, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_truncate_x(get(), &c, path.c_str(), size));
  }
  Result<void> access(const std::string& path, int mode, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_access_x(get(), &c, path.c_str(), mode));
  }
  Result<void> chdir(const std::string& path, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_chdir_x(get(), &c, path.c_str()));
  }
  Result<std::string> getcwd() {
    char buffer[4096];
    ssize_t r = myfs_getcwd(get(), buffer, sizeof buffer);
    if (r < 0) return Error::last(static_cast<int>(-r));
    return std::string(buffer);
  }
  Result<std::string> realpath(const std::string& path, const Call& call = {}) {
    myfs_call c = call.c();
    char buffer[4096];
    ssize_t r = myfs_realpath_x(get(), &c, path.c_str(), buffer, sizeof buffer);
    if (r < 0) return Error::last(static_cast<int>(-r));
    return std::string(buffer);
  }
  Result<void> chroot(const std::string& path, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_chroot_x(get(), &c, path.c_str()));
  }
  Result<struct statvfs> statvfs(const std::string& path, const Call& call = {}) {
    myfs_call c = call.c();
    struct statvfs out;
    if (int r = myfs_statvfs_x(get(), &c, path.c_str(), &out); r < 0) return Error::last(-r);
    return out;
  }

  // Relative to a directory: a descriptor, or AT_FDCWD.
  Result<File> openat(int dirfd, const std::string& path, int flags, mode_t mode = 0666,
                      const Call& call = {}) {
    myfs_call c = call.c();
    int fd = myfs_openat_x(get(), &c, dirfd, path.c_str(), flags, mode);
    if (fd < 0) return Error::last(-fd);
    return File(get(), fd);
  }
  Result<File> openat2(int dirfd, const std::string& path, const myfs_open_how& how,
                       const Call& call = {}) {
    myfs_call c = call.c();
    int fd = myfs_openat2_x(get(), &c, dirfd, path.c_str(), &how);
    if (fd < 0) return Error::last(-fd);
    return File(get(), fd);
  }
  Result<void> refresh(const std::string& path, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_refresh_x(get(), &c, path.c_str()));
  }
  Result<myfs_dirstat> dirstats(const std::string& path, bool recursive, const Call& call = {}) {
    myfs_call c = call.c();
    myfs_dirstat out{sizeof(myfs_dirstat), 0, 0, 0};
    int r = myfs_dirstats_x(get(), &c, path.c_str(), recursive ? 1 : 0, &out);
    if (r < 0) return Error::last(-r);
    return out;
  }
  Result<Dir> opendirat(int dirfd, const std::string& path, const Call& call = {}) {
    myfs_call c = call.c();
    myfs_dir* dir = nullptr;
    int r = myfs_opendirat_x(get(), &c, dirfd, path.c_str(), &dir);
    if (r < 0) return Error::last(-r);
    return Dir(dir);
  }
  Result<struct stat> statat(int dirfd, const std::string& path, int flags = 0,
                             const Call& call = {}) {
    myfs_call c = call.c();
    struct stat out;
    int r = myfs_fstatat_x(get(), &c, dirfd, path.c_str(), &out, flags);
    if (r < 0) return Error::last(-r);
    return out;
  }
  Result<void> mkdirat(int dirfd, const std::string& path, mode_t mode = 0777,
                       const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_mkdirat_x(get(), &c, dirfd, path.c_str(), mode));
  }
  Result<void> mknodat(int dirfd, const std::string& path, mode_t mode, dev_t dev = 0,
                       const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_mknodat_x(get(), &c, dirfd, path.c_str(), mode, dev));
  }
  Result<void> unlinkat(int dirfd, const std::string& path, int flags = 0, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_unlinkat_x(get(), &c, dirfd, path.c_str(), flags));
  }
  Result<void> renameat(int from_dirfd, const std::string& from, int to_dirfd,
                        const std::string& to, unsigned flags = 0, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(
        myfs_renameat2_x(get(), &c, from_dirfd, from.c_str(), to_dirfd, to.c_str(), flags));
  }
  Result<void> linkat(int from_dirfd, const std::string& from, int to_dirfd, const std::string& to,
                      int flags = 0, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(
        myfs_linkat_x(get(), &c, from_dirfd, from.c_str(), to_dirfd, to.c_str(), flags));
  }
  Result<void> symlinkat(const std::string& target, int dirfd, const std::string& path,
                         const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_symlinkat_x(get(), &c, target.c_str(), dirfd, path.c_str()));
  }
  Result<std::string> readlinkat(int dirfd, const std::string& path, const Call& call = {}) {
    myfs_call c = call.c();
    char buffer[4096];
    ssize_t r = myfs_readlinkat_x(get(), &c, dirfd, path.c_str(), buffer, sizeof buffer);
    if (r < 0) return Error::last(static_cast<int>(-r));
    return std::string(buffer, static_cast<size_t>(r));
  }
  Result<void> chmodat(int dirfd, const std::string& path, mode_t mode, int flags = 0,
                       const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_fchmodat_x(get(), &c, dirfd, path.c_str(), mode, flags));
  }
  Result<void> chownat(int dirfd, const std::string& path, uid_t uid, gid_t gid, int flags = 0,
                       const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_fchownat_x(get(), &c, dirfd, path.c_str(), uid, gid, flags));
  }
  Result<void> utimensat(int dirfd, const std::string& path, const timespec (&times)[2],
                         int flags = 0, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_utimensat_x(get(), &c, dirfd, path.c_str(), times, flags));
  }
  Result<void> accessat(int dirfd, const std::string& path, int mode, int flags = 0,
                        const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_faccessat_x(get(), &c, dirfd, path.c_str(), mode, flags));
  }
  Result<void> close_range(unsigned first, unsigned last, unsigned flags = 0,
                           const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_close_range_x(get(), &c, first, last, flags));
  }

  // Of an open directory, from its position on; the descriptor belongs to the result.
  Result<Dir> fdopendir(File file) {
    myfs_dir* dir = nullptr;
    if (int r = myfs_fdopendir(get(), file.fd(), &dir); r < 0) return Error::last(-r);
    (void)file.release();
    return Dir(dir);
  }
  // How many of `fds` have something in `revents`; timeout_ms -1: for ever.
  Result<int> poll(std::span<pollfd> fds, int timeout_ms, const Call& call = {}) {
    myfs_call c = call.c();
    int r = myfs_poll_x(get(), &c, fds.data(), fds.size(), timeout_ms);
    if (r < 0) return Error::last(-r);
    return r;
  }
  // Extended attributes; nofollow: of a symbolic link itself.
  Result<std::string> getxattr(const std::string& path, const std::string& name,
                               bool nofollow = false, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::text([&](char* buffer, size_t size) {
      return myfs_getxattr_x(get(), &c, path.c_str(), name.c_str(), buffer, size, nofollow);
    });
  }
  Result<void> setxattr(const std::string& path, const std::string& name, std::string_view value,
                        int flags = 0, bool nofollow = false, const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_setxattr_x(get(), &c, path.c_str(), name.c_str(), value.data(),
                                           value.size(), flags, nofollow));
  }
  // Each name with a NUL behind it.
  Result<std::string> listxattr(const std::string& path, bool nofollow = false,
                                const Call& call = {}) {
    myfs_call c = call.c();
    return internal::text([&](char* buffer, size_t size) {
      return myfs_listxattr_x(get(), &c, path.c_str(), buffer, size, nofollow);
    });
  }
  Result<void> removexattr(const std::string& path, const std::string& name, bool nofollow = false,
                           const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_removexattr_x(get(), &c, path.c_str(), name.c_str(), nofollow));
  }

  mode_t umask(mode_t mask) { return myfs_umask(get(), mask); }
  Result<void> sync(const Call& call = {}) {
    myfs_call c = call.c();
    return internal::check(myfs_sync_x(get(), &c));
  }
  Result<myfs_stats> stats() {
    myfs_stats out{};
    out.size = sizeof out;
    if (int r = myfs_get_stats(get(), &out); r < 0) return Error::last(-r);
    return out;
  }
  std::string stats_json() {
    ssize_t size = myfs_stats_json(get(), nullptr, 0);
    if (size < 0) return {};
    // Counters grow while we look: what does not fit is cut.
    std::string json(static_cast<size_t>(size) + 1024, '\0');
    size = myfs_stats_json(get(), json.data(), json.size());
    json.resize(size < 0 ? 0 : std::min(static_cast<size_t>(size), json.size() - 1));
    return json;
  }

 private:
  struct Destroy {
    void operator()(myfs_task* task) const { myfs_task_destroy(task); }
  };
  explicit Task(myfs_task* task) : task_(task) {}
  std::unique_ptr<myfs_task, Destroy> task_;
};

}  // namespace api_v0
}  // namespace myfs
