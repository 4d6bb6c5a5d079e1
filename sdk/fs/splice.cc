#include "sdk/fs/splice.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "sdk/base/error_detail.h"
#include "sdk/fs/file_position.h"
#include "sdk/fs/locks.h"
#include "sdk/fs/read_write.h"

namespace myfs::fs {

namespace {

constexpr size_t kBuffer_bytes = 256 << 10;
// An empty pipe that poll(2) calls writable takes so much without waiting.
constexpr size_t kPipeAtOnce_bytes = PIPE_BUF;

// See the header: SIGPIPE.
class SigpipeGuard {
 public:
  SigpipeGuard() {
    sigemptyset(&sigpipe_);
    sigaddset(&sigpipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    // One that is pending is somebody else's, and blocked already.
    if (sigismember(&pending, SIGPIPE) == 1) return;
    armed_ = ::pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_) == 0;
  }
  ~SigpipeGuard() {
    if (!armed_) return;
    if (raised_) {
      const timespec at_once{};
      while (::sigtimedwait(&sigpipe_, nullptr, &at_once) < 0 && errno == EINTR) {
      }
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SigpipeGuard(const SigpipeGuard&) = delete;
  SigpipeGuard& operator=(const SigpipeGuard&) = delete;
  void note(ssize_t result) { raised_ = result < 0 && errno == EPIPE; }

 private:
  sigset_t sigpipe_, before_;
  bool armed_ = false;
  bool raised_ = false;
};

// The kernel's descriptor.
class KernelEnd {
 public:
  KernelEnd(const CallContext& ctx, const SpliceArgs& args) : ctx_(ctx), args_(args) {}
  ~KernelEnd() {
    cancelled_.reset();
    if (wake_fd_ >= 0) ::close(wake_fd_);
  }
  KernelEnd(const KernelEnd&) = delete;
  KernelEnd& operator=(const KernelEnd&) = delete;

  Result<void> open() {
    struct stat st;
    const int flags = ::fcntl(args_.kernel_fd, F_GETFL);
    if (flags < 0 || ::fstat(args_.kernel_fd, &st) != 0) return Errno(errno);
    const int refused = args_.into_file ? O_WRONLY : O_RDONLY;
    if ((flags & O_PATH) != 0 || (flags & O_ACCMODE) == refused) return Errno(EBADF);
    if (S_ISDIR(st.st_mode)) return Errno(EINVAL);
    // As splice(2) and sendfile(2): of sockets, too, but not of pipes.
    const bool appends = (flags & O_APPEND) != 0 && !S_ISFIFO(st.st_mode);
    if (!args_.into_file && appends) return Errno(EINVAL);
    waits_ = !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode);
    socket_ = S_ISSOCK(st.st_mode);
    nonblocking_ = args_.nonblocking || (flags & O_NONBLOCK) != 0;
    if (args_.kernel_offset == nullptr) return {};
    if (waits_) return Errno(ESPIPE);
    return *args_.kernel_offset < 0 ? Errno(EINVAL) : Errno();
  }

  // Whether a write or read may have to be waited for: pipes, sockets, terminals.
  bool waits() const { return waits_; }

  // Bytes. EAGAIN: it would block, and may not.
  Result<size_t> write(const std::byte* from, size_t size) {
    return move(POLLOUT, [&](bool polled) { return write_once(from, size, polled); });
  }
  Result<size_t> read(std::byte* to, size_t size) {
    return move(POLLIN, [&](bool polled) { return read_once(to, size, polled); });
  }
  // What was read and not used goes back, where that is possible.
  void unread(size_t size) {
    if (size == 0 || waits_) return;
    if (args_.kernel_offset != nullptr) {
      *args_.kernel_offset -= static_cast<int64_t>(size);
    } else {
      ::lseek(args_.kernel_fd, -static_cast<off_t>(size), SEEK_CUR);
    }
  }

 private:
  template <typename Once>
  Result<size_t> move(short events, Once once) {
    for (bool polled = !waits_;;) {
      const ssize_t n = once(polled);
      if (n >= 0) {
        if (args_.kernel_offset != nullptr) *args_.kernel_offset += n;
        return static_cast<size_t>(n);
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return Errno(errno);
      if (nonblocking_) return Errno(EAGAIN);
      MYFS_TRY(wait(events));
      polled = true;
    }
  }

  // -1 with EAGAIN if the attempt would block. `polled`: the last poll said that it does not.
  ssize_t write_once(const std::byte* from, size_t size, bool polled) {
    if (socket_) {
      const int more = args_.more ? MSG_MORE : 0;
      return ::send(args_.kernel_fd, from, size, MSG_NOSIGNAL | MSG_DONTWAIT | more);
    }
    if (args_.kernel_offset != nullptr) {
      return ::pwrite(args_.kernel_fd, from, size, *args_.kernel_offset);
    }
    SigpipeGuard guard;
    ssize_t n;
    if (!waits_) {
      n = ::write(args_.kernel_fd, from, size);
    } else {
      const iovec part{const_cast<std::byte*>(from), size};
      n = ::pwritev2(args_.kernel_fd, &part, 1, -1, RWF_NOWAIT);
      if (n < 0 && errno == EOPNOTSUPP) {  // of older kernels
        if (!polled && !ready(POLLOUT)) {
          errno = EAGAIN;
          return -1;
        }
        n = ::write(args_.kernel_fd, from, std::min(size, kPipeAtOnce_bytes));
      }
    }
    guard.note(n);
    return n;
  }

  ssize_t read_once(std::byte* to, size_t size, bool polled) {
    if (socket_) return ::recv(args_.kernel_fd, to, size, MSG_DONTWAIT);
    if (args_.kernel_offset != nullptr) {
      return ::pread(args_.kernel_fd, to, size, *args_.kernel_offset);
    }
    if (!waits_) return ::read(args_.kernel_fd, to, size);
    const iovec part{to, size};
    const ssize_t n = ::preadv2(args_.kernel_fd, &part, 1, -1, RWF_NOWAIT);
    if (n >= 0 || errno != EOPNOTSUPP) return n;
    if (!polled && !ready(POLLIN)) {
      errno = EAGAIN;
      return -1;
    }
    return ::read(args_.kernel_fd, to, size);
  }

  bool ready(short events) const {
    pollfd fd{args_.kernel_fd, events, 0};
    return ::poll(&fd, 1, 0) > 0;
  }

  // Until the descriptor is ready. ETIMEDOUT, EINTR (cancelled), EMFILE.
  Result<void> wait(short events) {
    if (ctx_.cancel != nullptr && wake_fd_ < 0) {
      wake_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
      if (wake_fd_ < 0) return Errno(errno);
      cancelled_.emplace(ctx_.cancel, [fd = wake_fd_] { (void)::eventfd_write(fd, 1); });
    }
    while (true) {
      if (ctx_.cancelled()) return Errno(EINTR);
      int timeout_ms = -1;
      if (ctx_.deadline_ns != kNoDeadline) {
        const int64_t left_ns = ctx_.deadline_ns - boottime_ns();
        if (left_ns <= 0) return Errno(ETIMEDOUT);
        timeout_ms = static_cast<int>(std::min<int64_t>(left_ns / kNsPerMs + 1, INT_MAX));
      }
      pollfd fds[2] = {{args_.kernel_fd, events, 0}, {wake_fd_, POLLIN, 0}};
      const int n = ::poll(fds, 2, timeout_ms);
      if (n < 0 && errno != EINTR) return Errno(errno);
      if (n > 0 && fds[0].revents != 0) return {};
    }
  }

  const CallContext& ctx_;
  const SpliceArgs& args_;
  bool waits_ = false;
  bool socket_ = false;
  bool nonblocking_ = false;
  int wake_fd_ = -1;  // made when a wait needs it
  std::optional<CancelToken::Listener> cancelled_;
};

IoVec vector_of(iovec* part, std::byte* data, size_t size) {
  *part = {data, size};
  return IoVec(part, 1);
}

// One buffer's worth out of the file. 0: the end.
Result<size_t> step_out(const CallContext& ctx, File& file, FilePosition& position,
                        KernelEnd& kernel, std::vector<std::byte>& buffer, size_t size) {
  iovec part;
  MYFS_ASSIGN(const size_t got,
              vfs_iter_read(ctx, file, vector_of(&part, buffer.data(), size), position.at()));
  size_t done = 0;
  while (done < got) {
    Result<size_t> written = kernel.write(buffer.data() + done, got - done);
    if (!written.ok()) {
      if (done == 0) return written.error();
      break;
    }
    done += *written;
  }
  if (done != 0) position.advance(done);
  return done;
}

// One buffer's worth into the file. 0: the end.
Result<size_t> step_in(const CallContext& ctx, File& file, FilePosition& position,
                       KernelEnd& kernel, std::vector<std::byte>& buffer, size_t size) {
  MYFS_ASSIGN(const size_t got, kernel.read(buffer.data(), size));
  size_t done = 0;
  Errno error;
  while (done < got) {
    iovec part;
    Result<WriteResult> written = vfs_iter_write(
        ctx, file, vector_of(&part, buffer.data() + done, got - done), position.at());
    if (!written.ok() || written->count == 0) {
      error = written.ok() ? Errno(EFBIG) : written.error();
      break;
    }
    done += written->count;
    position.move_to(static_cast<int64_t>(written->offset + written->count));
  }
  kernel.unread(got - done);
  // What came out of a pipe or socket is gone: the caller is to know at once.
  if (!error.ok() && (done == 0 || kernel.waits())) return error;
  return done;
}

Result<Ref<File>> file_for(const TaskStruct& task, const SpliceArgs& args) {
  RefPtr<File> file = task.files.fget(args.fd);
  if (!file || (file->f_mode & File::kPath) != 0) return Errno(EBADF);
  if (args.into_file ? !file->may_write() : !file->may_read()) return Errno(EBADF);
  if (!file->f_inode().is_regular()) return Errno(EINVAL);
  // As splice(2): where it would be written is not the caller's to say.
  if (args.into_file && (file->f_flags() & O_APPEND) != 0) return Errno(EINVAL);
  if (args.offset != nullptr && *args.offset < 0) return Errno(EINVAL);
  if (locks_lost_slow(*file, task.lock_owner)) return Errno(EIO);
  return std::move(file).to_ref();
}

}  // namespace

Result<size_t> vfs_splice(const CallContext& ctx, TaskStruct& task, const SpliceArgs& args) {
  MYFS_ASSIGN(Ref<File> file, file_for(task, args));
  KernelEnd kernel(ctx, args);
  MYFS_TRY(kernel.open());
  const size_t wanted = std::min(args.length, kRwCountMax_bytes);
  if (wanted == 0) return size_t{0};
  FilePosition position(*file, args.offset);
  std::vector<std::byte> buffer(std::min(wanted, kBuffer_bytes));
  size_t done = 0;
  while (done < wanted) {
    const size_t size = std::min(buffer.size(), wanted - done);
    Result<size_t> moved = args.into_file ? step_in(ctx, *file, position, kernel, buffer, size)
                                          : step_out(ctx, *file, position, kernel, buffer, size);
    if (!moved.ok()) {
      if (done == 0) return moved.error();
      break;
    }
    done += *moved;
    // As a read of a pipe: what is there, and what failed of it is told.
    if (*moved < size || (args.into_file && kernel.waits())) break;
  }
  return done;
}

}  // namespace myfs::fs
