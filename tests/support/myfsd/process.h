// MyfsdProcess: a real server process on a data directory, started, killed and restarted by a test.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "tests/support/myfsd/program.h"

namespace myfs::test {

class MyfsdProcess {
 public:
  // Does not start it. The socket lies in the data directory.
  explicit MyfsdProcess(std::string data_dir, std::vector<std::string> more_args = {});
  ~MyfsdProcess();  // kill -9
  MyfsdProcess(const MyfsdProcess&) = delete;
  MyfsdProcess& operator=(const MyfsdProcess&) = delete;

  // Starts it and waits for "myfsd: ready". False: it ended instead, output() tells why. A TCP port
  // that the system chose at the first start stays the same afterwards. `once`: further arguments,
  // for this time.
  bool start(const std::vector<std::string>& once = {});
  // SIGKILL, waits.
  void kill9();
  // SIGTERM, waits for the clean shutdown; returns the exit status or 128 + signal.
  int terminate();
  // Does not wait.
  void send_signal(int number) const;
  bool running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  // The exit status of a start() that failed.
  int start_status() const { return start_status_; }

  const std::string& data_dir() const { return data_dir_; }
  std::string socket_path() const { return data_dir_ + "/myfs.sock"; }
  std::string url() const { return "myfs+unix:" + socket_path(); }
  // "127.0.0.1:34567"; empty unless it listens to TCP (kTcp among its arguments).
  std::string tcp_address() const;
  std::string secret_path() const { return data_dir_ + "/secret"; }
  // With the secret.
  std::string tcp_url(const std::string& subdirectory = {}) const {
    return "myfs://" + tcp_address() + "/" + subdirectory + "?secret_file=" + secret_path();
  }
  // The line after "myfsd: ready ".
  const std::string& ready_addresses() const { return ready_; }
  // What it wrote to stderr so far.
  std::string output() const;
  // `myfsd --fsck` on its data directory, for which it must not run.
  ProgramResult fsck() const;

 private:
  int wait_for_end();

  const std::string data_dir_;
  std::vector<std::string> more_args_;
  const std::string log_path_;
  std::string ready_;
  pid_t pid_ = -1;
  int start_status_ = 0;
};

// Makes the clients of the last run lose their sessions.
inline const std::vector<std::string> kForgetSessions = {"--forget-sessions"};

// Arguments that make it listen to a TCP port of the system's choice on the loopback.
inline const std::vector<std::string> kTcp = {"--listen", "tcp:127.0.0.1:0"};

}  // namespace myfs::test
