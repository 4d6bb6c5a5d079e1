// Output: where the results of commands go: the standard output, a local file or a pipe to a local
// program; what is written may be any bytes. It stops at the first failure and at Ctrl-C, also
// while a reader does not read.
// Thread safety: the main thread alone.
#pragma once

#include <string>
#include <string_view>

namespace shell {

class Output {
 public:
  // Writes to `fd`, which is not its own. A pipe may be non-blocking.
  explicit Output(int fd);

  // Waits when it is full. False once something could not be written, then and ever after.
  bool write(std::string_view text);
  bool print(const char* format, ...) __attribute__((format(printf, 2, 3)));
  // A name for people: on a terminal control characters are shown as '?'.
  std::string shown(std::string_view name) const;
  bool flush();

  // errno of the first failure, ECANCELED after Ctrl-C; 0: none.
  int error() const { return error_; }
  bool is_terminal() const { return terminal_; }
  int fd() const { return fd_; }

 private:
  bool put(std::string_view text);

  const int fd_;
  bool terminal_ = false;
  bool waits_ = false;  // no file: it may be full
  size_t piece_ = 0;    // bytes that one write takes without blocking if the descriptor is ready
  int error_ = 0;
  std::string buffer_;
};

}  // namespace shell
