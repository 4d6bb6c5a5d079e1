#include "bindings/fuse/device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "bindings/fuse/calls.h"

namespace bridge {

namespace {

constexpr char kDevice[] = "/dev/fuse";
// FUSE_DIRECT_IO_ALLOW_MMAP of newer headers.
constexpr uint64_t kDirectIoAllowMmap = 1ULL << 36;

// The request whose answer is to be completed; 0: none is outstanding. The kernel asks once.
std::atomic<uint64_t> init_unique{0};
std::atomic<uint64_t> init_flags{0};

void note_init(const void* data, size_t size) {
  struct {
    fuse_in_header header;
    fuse_init_in init;
  } in;
  if (size < sizeof in) return;
  memcpy(&in, data, sizeof in);
  if (in.header.opcode != FUSE_INIT || (in.init.flags & FUSE_INIT_EXT) == 0) return;
  init_flags.store(in.init.flags | static_cast<uint64_t>(in.init.flags2) << 32);
  init_unique.store(in.header.unique);
}

void turn_tmpfile_into_create(void* data, size_t size) {
  fuse_in_header header;
  if (size < sizeof header) return;
  memcpy(&header, data, sizeof header);
  if (header.opcode != FUSE_TMPFILE) return;
  header.opcode = FUSE_CREATE;
  memcpy(data, &header, sizeof header);
}

ssize_t read_device(int fd, void* data, size_t size, void*) {
  const ssize_t got = read(fd, data, size);
  // The mount has ended (umount -f): nobody hears an answer any more.
  if (got < 0 && errno == ENODEV) {
    Calls::all().stop();
    errno = ENODEV;
  }
  if (got > 0) turn_tmpfile_into_create(data, static_cast<size_t>(got));
  if (got > 0 && init_unique.load(std::memory_order_relaxed) == 0) {
    note_init(data, static_cast<size_t>(got));
  }
  return got;
}

bool is_init_answer(const iovec* iov, int count, uint64_t unique) {
  fuse_out_header header;
  if (unique == 0 || count != 2 || iov[0].iov_len != sizeof header ||
      iov[1].iov_len != sizeof(fuse_init_out)) {
    return false;
  }
  memcpy(&header, iov[0].iov_base, sizeof header);
  return header.unique == unique && header.error == 0;
}

ssize_t write_device(int fd, iovec* iov, int count, void*) {
  if (!is_init_answer(iov, count, init_unique.load(std::memory_order_relaxed))) {
    return writev(fd, iov, count);
  }
  fuse_init_out out;
  memcpy(&out, iov[1].iov_base, sizeof out);
  if ((init_flags.load() & kDirectIoAllowMmap) != 0) {
    out.flags |= FUSE_INIT_EXT;
    out.flags2 |= static_cast<uint32_t>(kDirectIoAllowMmap >> 32);
  }
  const iovec changed[2] = {iov[0], {&out, sizeof out}};
  return writev(fd, changed, 2);
}

}  // namespace

bool check_device(std::string* why) {
  const int fd = open(kDevice, O_RDWR | O_CLOEXEC);
  if (fd >= 0) {
    close(fd);
    return true;
  }
  const int error = errno;
  *why = std::string(kDevice) + ": " + strerror(error);
  if (error == ENOENT) {
    *why +=
        "; the kernel's module is not loaded (modprobe fuse), or this container was not given "
        "the device (--device /dev/fuse)";
  } else if (error == ENODEV || error == ENXIO) {
    *why += "; the kernel has no FUSE (modprobe fuse)";
  } else if (error == EACCES || error == EPERM) {
    *why += "; neither its mode nor the device rules of this container allow it";
  }
  return false;
}

bool take_over_device(fuse_session* session) {
  constexpr fuse_custom_io kIo{.writev = write_device,
                               .read = read_device,
                               .splice_receive = nullptr,
                               .splice_send = nullptr};
  return fuse_session_custom_io(session, &kIo, fuse_session_fd(session)) == 0;
}

}  // namespace bridge
