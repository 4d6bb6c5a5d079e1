// MyfsdProcess: a real server process on a data directory, started, killed and restarted by a test.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace myfs::test {

// Path of a program of this build: bin("myfsd").
std::string bin(const std::string& name);

// Runs a program to its end with stdout and stderr together in `output`. Returns its exit status,
// 128 + signal, or -1.
int run_program(const std::vector<std::string>& command, std::string* output);

class MyfsdProcess {
 public:
  // Does not start it. The socket lies in the data directory.
  explicit MyfsdProcess(std::string data_dir, std::vector<std::string> more_args = {});
  ~MyfsdProcess();  // kill -9
  MyfsdProcess(const MyfsdProcess&) = delete;
  MyfsdProcess& operator=(const MyfsdProcess&) = delete;

  // Starts it and waits for "myfsd: ready". False: it ended instead, output() tells why.
  bool start();
  // SIGKILL, waits.
  void kill9();
  // SIGTERM, waits for the clean shutdown; returns the exit status or 128 + signal.
  int terminate();
  void signal(int number);
  bool running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }

  const std::string& data_dir() const { return data_dir_; }
  std::string socket_path() const { return data_dir_ + "/myfs.sock"; }
  std::string url() const { return "myfs+unix:" + socket_path(); }
  // The line after "myfsd: ready ".
  const std::string& ready_addresses() const { return ready_; }
  // What it wrote to stderr so far.
  std::string output() const;

 private:
  int wait_for_end();

  const std::string data_dir_;
  const std::vector<std::string> more_args_;
  const std::string log_path_;
  std::string ready_;
  pid_t pid_ = -1;
};

}  // namespace myfs::test
