// Program: other programs that a test runs: to their end, or in a conversation line by line.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace myfs::test {

// Path of a program of this build: bin("myfsd").
std::string bin(const std::string& name);

struct ProgramResult {
  int status = -1;  // exit status, 128 + signal, or -1: it could not be started
  std::string out;
  std::string err;
};

// Runs a program to its end. The working directory and the environment are the test's own.
ProgramResult run_program(const std::vector<std::string>& command, const std::string& input = {});

// kill(2) of a child. After SIGSTOP it has stopped: kill() alone returns before.
void signal_child(pid_t pid, int number);

// A program that runs beside the test; stderr is the test's. Ended by SIGKILL if the test does not
// wait for it.
class Program {
 public:
  Program() = default;
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  bool start(const std::vector<std::string>& command);
  // Sends a line to its stdin. False: it does not read any more.
  bool send(const std::string& line);
  // The next line of its stdout without newline; false at the end.
  bool receive(std::string* line);
  // send(), then receive(); "<no answer>" if it has ended.
  std::string ask(const std::string& line);
  void close_input();
  void kill(int signal_number) const;
  // Closes its stdin and waits; returns the exit status or 128 + signal.
  int wait();
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  int to_ = -1;
  int from_ = -1;
  std::string buffer_;
};

// The exit status of a status of waitpid(), or 128 + signal.
int exit_status(int wait_status);

}  // namespace myfs::test
