// Rows of the table of asynchronous calls: mounts, descriptors, content but for reads.
#include <fcntl.h>

#include <optional>

#include "sdk/api/async_op.h"
#include "sdk/fs/read_write.h"

using namespace myfs;  // the facade's own rooms only
using api::Fd;
using api::submit;
using api::Way;

namespace {

// Calls without a twin.
int umount_call(myfs_task* task, const myfs_call*, const char* at, int flags) {
  return myfs_umount(task, at, flags);
}
int dup2_call(myfs_task* task, const myfs_call*, int fd, int to) { return myfs_dup2(task, fd, to); }

// Options with what they refer to.
class OwnedOptions {
 public:
  explicit OwnedOptions(const myfs_mount_options& options)
      : size_(options.size), text_(options.options) {
    if (options.cred == nullptr) return;
    cred_ = *options.cred;
    if (cred_->groups != nullptr) groups_.assign(cred_->groups, cred_->groups + cred_->ngroups);
  }
  int mount(myfs_task* task, const char* url, const char* at) const {
    myfs_cred cred = cred_.value_or(myfs_cred{});
    cred.groups = groups_.data();
    const myfs_mount_options options{size_, text_.get(), cred_.has_value() ? &cred : nullptr};
    return myfs_mount(task, url, at, &options);
  }

 private:
  const size_t size_;
  const api::OwnedText text_;
  std::optional<myfs_cred> cred_;
  std::vector<gid_t> groups_;
};

bool good_options(const myfs_mount_options& options) {
  return options.size == sizeof(myfs_mount_options) &&
         (options.cred == nullptr ||
          (options.cred->size == sizeof(myfs_cred) && options.cred->ngroups <= kGroupsMax));
}

bool good_vector(const iovec* iov, int count) {
  return count >= 0 && static_cast<size_t>(count) <= fs::kIovMax && (iov != nullptr || count == 0);
}

// `call`: of the task, the call, the descriptor and a copy of the vector. A wrong vector is for it
// to refuse.
template <typename Call>
int submit_vector(myfs_async* queue, const myfs_op* op, const char* name, int fd, const iovec* iov,
                  int count, Call call) {
  api::Submission submission(queue, op);
  if (!submission.ok()) return submission.error();
  if (!good_vector(iov, count)) {
    return submission.over(name, call(submission.task(), submission.call(), fd, iov, count));
  }
  fs::PinnedFds pins = submission.pins();
  api::CallFn fn = [call, pinned = pins.pin(fd), from = std::vector<iovec>(iov, iov + count)](
                       myfs_task* task, const myfs_call* how) -> int64_t {
    return call(task, how, pinned, from.data(), static_cast<int>(from.size()));
  };
  return submission.start(
      std::make_unique<api::CallOp>(submission.queue(), *op, name, std::move(fn), std::move(pins)));
}

}  // namespace

extern "C" {

int myfs_async_mount(myfs_async* queue, const myfs_op* op, const char* url, const char* at,
                     const myfs_mount_options* options) {
  api::Submission submission(queue, op);
  if (!submission.ok()) return submission.error();
  if (options != nullptr && !good_options(*options)) {
    return submission.over("mount", myfs_mount(submission.task(), url, at, options));
  }
  std::optional<OwnedOptions> owned;
  if (options != nullptr) owned.emplace(*options);
  api::CallFn fn = [owned = std::move(owned), url = api::OwnedText(url), at = api::OwnedText(at)](
                       myfs_task* task, const myfs_call*) -> int64_t {
    if (owned.has_value()) return owned->mount(task, url.get(), at.get());
    return myfs_mount(task, url.get(), at.get(), nullptr);
  };
  return submission.start(std::make_unique<api::CallOp>(submission.queue(), *op, "mount",
                                                        std::move(fn), submission.pins()));
}

int myfs_async_umount(myfs_async* queue, const myfs_op* op, const char* at, int flags) {
  return submit<umount_call>(queue, op, "umount", Way::kWorker, at, flags);
}

// What makes or cuts a file is no affair of the cache.
int myfs_async_open(myfs_async* queue, const myfs_op* op, const char* path, int flags,
                    mode_t mode) {
  constexpr int kMakes = O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);
  const Way way = (flags & kMakes) == 0 ? Way::kCacheFirst : Way::kWorker;
  return submit<myfs_open_x>(queue, op, "open", way, path, flags, mode);
}

int myfs_async_close(myfs_async* queue, const myfs_op* op, int fd) {
  return submit<myfs_close_x>(queue, op, "close", Way::kWorker, Fd{fd});
}

int myfs_async_writev(myfs_async* queue, const myfs_op* op, int fd, const struct iovec* iov,
                      int count) {
  return submit_vector(queue, op, "writev", fd, iov, count,
                       [](myfs_task* task, const myfs_call* call, int file, const iovec* from,
                          int n) { return myfs_writev_x(task, call, file, from, n); });
}

int myfs_async_pwritev(myfs_async* queue, const myfs_op* op, int fd, const struct iovec* iov,
                       int count, off_t offset) {
  return submit_vector(
      queue, op, "pwritev", fd, iov, count,
      [offset](myfs_task* task, const myfs_call* call, int file, const iovec* from, int n) {
        return myfs_pwritev_x(task, call, file, from, n, offset);
      });
}

int myfs_async_preadv2(myfs_async* queue, const myfs_op* op, int fd, const struct iovec* iov,
                       int count, off_t offset, int flags) {
  return submit_vector(
      queue, op, "preadv2", fd, iov, count,
      [offset, flags](myfs_task* task, const myfs_call* call, int file, const iovec* to, int n) {
        return myfs_preadv2_x(task, call, file, to, n, offset, flags);
      });
}

int myfs_async_pwritev2(myfs_async* queue, const myfs_op* op, int fd, const struct iovec* iov,
                        int count, off_t offset, int flags) {
  return submit_vector(
      queue, op, "pwritev2", fd, iov, count,
      [offset, flags](myfs_task* task, const myfs_call* call, int file, const iovec* from, int n) {
        return myfs_pwritev2_x(task, call, file, from, n, offset, flags);
      });
}

int myfs_async_dup2(myfs_async* queue, const myfs_op* op, int fd, int to) {
  return submit<dup2_call>(queue, op, "dup2", Way::kWorker, Fd{fd}, to);
}
int myfs_async_creat(myfs_async* queue, const myfs_op* op, const char* path, mode_t mode) {
  return submit<myfs_creat_x>(queue, op, "creat", Way::kWorker, path, mode);
}

int myfs_async_write(myfs_async* queue, const myfs_op* op, int fd, const void* buffer,
                     size_t size) {
  return submit<myfs_write_x>(queue, op, "write", Way::kWorker, Fd{fd}, buffer, size);
}

int myfs_async_pwrite(myfs_async* queue, const myfs_op* op, int fd, const void* buffer, size_t size,
                      off_t offset) {
  return submit<myfs_pwrite_x>(queue, op, "pwrite", Way::kWorker, Fd{fd}, buffer, size, offset);
}

int myfs_async_copy_file_range(myfs_async* queue, const myfs_op* op, int fd_in, off_t* offset_in,
                               int fd_out, off_t* offset_out, size_t size, unsigned flags) {
  return submit<myfs_copy_file_range_x>(queue, op, "copy_file_range", Way::kWorker, Fd{fd_in},
                                        offset_in, Fd{fd_out}, offset_out, size, flags);
}

int myfs_async_clone_file(myfs_async* queue, const myfs_op* op, int fd_in, int fd_out) {
  return submit<myfs_clone_file_x>(queue, op, "clone_file", Way::kWorker, Fd{fd_in}, Fd{fd_out});
}

int myfs_async_clone_file_range(myfs_async* queue, const myfs_op* op, int fd_in, off_t offset_in,
                                int fd_out, off_t offset_out, off_t size) {
  return submit<myfs_clone_file_range_x>(queue, op, "clone_file_range", Way::kWorker, Fd{fd_in},
                                         offset_in, Fd{fd_out}, offset_out, size);
}

int myfs_async_fiemap(myfs_async* queue, const myfs_op* op, int fd, off_t offset, off_t size,
                      myfs_extent* extents, size_t count) {
  return submit<myfs_fiemap_x>(queue, op, "fiemap", Way::kWorker, Fd{fd}, offset, size, extents,
                               count);
}

int myfs_async_lseek(myfs_async* queue, const myfs_op* op, int fd, off_t offset, int whence) {
  return submit<myfs_lseek_x>(queue, op, "lseek", Way::kWorker, Fd{fd}, offset, whence);
}

int myfs_async_truncate(myfs_async* queue, const myfs_op* op, const char* path, off_t size) {
  return submit<myfs_truncate_x>(queue, op, "truncate", Way::kWorker, path, size);
}

int myfs_async_ftruncate(myfs_async* queue, const myfs_op* op, int fd, off_t size) {
  return submit<myfs_ftruncate_x>(queue, op, "ftruncate", Way::kWorker, Fd{fd}, size);
}

int myfs_async_fsync(myfs_async* queue, const myfs_op* op, int fd) {
  return submit<myfs_fsync_x>(queue, op, "fsync", Way::kWorker, Fd{fd});
}

int myfs_async_fdatasync(myfs_async* queue, const myfs_op* op, int fd) {
  return submit<myfs_fdatasync_x>(queue, op, "fdatasync", Way::kWorker, Fd{fd});
}

int myfs_async_sync(myfs_async* queue, const myfs_op* op) {
  return submit<myfs_sync_x>(queue, op, "sync", Way::kWorker);
}

}  // extern "C"
