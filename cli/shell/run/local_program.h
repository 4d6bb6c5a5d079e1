// LocalProgram: a command that the local sh runs beside us, in our process group: Ctrl-C at the
// terminal reaches it as well.
// Thread safety: the main thread alone.
#pragma once

#include <sys/types.h>

#include <string>

namespace shell {

class LocalProgram {
 public:
  // Starts `sh -c COMMAND`. input: its stdin, -1: ours.
  LocalProgram(const std::string& command, int input);
  // Waits, if nobody has.
  ~LocalProgram();
  LocalProgram(const LocalProgram&) = delete;
  LocalProgram& operator=(const LocalProgram&) = delete;

  // errno if it could not be started, else 0.
  int error() const { return error_; }
  // Waits for its end. An interrupt that was sent to us alone is passed on. Returns its exit
  // status, or 128 + signal.
  int wait();

 private:
  pid_t pid_ = -1;
  int error_ = 0;
};

// A pipe into a local program: a non-blocking end to write, closed on exec both.
struct Pipe {
  int read_end = -1, write_end = -1;
  // Returns errno or 0.
  int open();
  void close_read_end();
  void close_write_end();
  ~Pipe();
};

}  // namespace shell
