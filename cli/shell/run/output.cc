#include "cli/shell/run/output.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>

#include "cli/shell/run/interrupt.h"

namespace shell {
namespace {

constexpr size_t kBuffer_bytes = 64 << 10;

}  // namespace

Output::Output(int fd) : fd_(fd), terminal_(::isatty(fd) == 1) {
  struct stat st;
  int flags = ::fcntl(fd, F_GETFL);
  waits_ = ::fstat(fd, &st) == 0 && !S_ISREG(st.st_mode);
  // A blocking pipe that is ready takes so much at least, a non-blocking one what it can.
  piece_ = waits_ && (flags & O_NONBLOCK) == 0 ? PIPE_BUF : SIZE_MAX;
}

bool Output::write(std::string_view text) {
  if (error_ != 0) return false;
  if (buffer_.size() + text.size() > kBuffer_bytes && !flush()) return false;
  if (text.size() > kBuffer_bytes) return put(text);
  buffer_.append(text);
  return !terminal_ || text.empty() || text.back() != '\n' || flush();
}

bool Output::print(const char* format, ...) {
  char small[512];
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int length = std::vsnprintf(small, sizeof small, format, args);
  va_end(args);
  bool good = true;
  if (length >= 0 && static_cast<size_t>(length) < sizeof small) {
    good = write({small, static_cast<size_t>(length)});
  } else if (length >= 0) {
    std::string large(static_cast<size_t>(length) + 1, '\0');
    std::vsnprintf(large.data(), large.size(), format, again);
    large.pop_back();
    good = write(large);
  }
  va_end(again);
  return good;
}

std::string Output::shown(std::string_view name) const {
  std::string result(name);
  if (!terminal_) return result;
  for (char& c : result) {
    auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = '?';
  }
  return result;
}

bool Output::flush() {
  std::string text;
  text.swap(buffer_);
  bool good = put(text);
  text.clear();
  buffer_.swap(text);
  return good;
}

bool Output::put(std::string_view text) {
  while (!text.empty() && error_ == 0) {
    if (waits_) {
      pollfd sources[2] = {{interrupt_fd(), POLLIN, 0}, {fd_, POLLOUT, 0}};
      if (::poll(sources, 2, -1) < 0) continue;
      if (sources[0].revents != 0) {
        error_ = ECANCELED;
        break;
      }
    }
    ssize_t n = ::write(fd_, text.data(), std::min(text.size(), piece_));
    if (n >= 0) {
      text.remove_prefix(static_cast<size_t>(n));
    } else if (errno != EINTR && errno != EAGAIN) {
      error_ = errno;
    }
  }
  return error_ == 0;
}

}  // namespace shell
