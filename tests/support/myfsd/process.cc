#include "tests/support/myfsd/process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/myfsd/program.h"

extern char** environ;

namespace myfs::test {

MyfsdProcess::MyfsdProcess(std::string data_dir, std::vector<std::string> more_args)
    : data_dir_(std::move(data_dir)),
      more_args_(std::move(more_args)),
      log_path_(data_dir_ + ".log") {
  std::filesystem::create_directories(data_dir_);
}

MyfsdProcess::~MyfsdProcess() {
  if (running()) kill9();
  std::error_code ignored;
  std::filesystem::remove(log_path_, ignored);
}

bool MyfsdProcess::start(const std::vector<std::string>& once) {
  int out[2];
  if (::pipe2(out, O_CLOEXEC) != 0) return false;
  std::vector<std::string> command = {bin("myfsd"), "--data", data_dir_, "--listen",
                                      "unix:" + socket_path()};
  command.insert(command.end(), more_args_.begin(), more_args_.end());
  command.insert(command.end(), once.begin(), once.end());
  std::vector<char*> words;
  for (std::string& word : command) words.push_back(word.data());
  words.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_addopen(&actions, 2, log_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                   0600);
  int error = ::posix_spawn(&pid_, words[0], &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(out[1]);
  if (error != 0) {
    pid_ = -1;
    ::close(out[0]);
    return false;
  }
  std::string line;
  char c = 0;
  while (line.empty() || line.back() != '\n') {
    ssize_t n = ::read(out[0], &c, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    line.push_back(c);
  }
  ::close(out[0]);
  static constexpr char kReady[] = "myfsd: ready ";
  if (line.rfind(kReady, 0) != 0) {
    start_status_ = wait_for_end();
    return false;
  }
  ready_ = line.substr(sizeof kReady - 1, line.size() - sizeof kReady);
  for (std::string& word : more_args_) {
    if (word == kTcp[1]) word = "tcp:" + tcp_address();
  }
  return true;
}

void MyfsdProcess::send_signal(int number) const {
  if (running()) signal_child(pid_, number);
}

int MyfsdProcess::wait_for_end() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return exit_status(status);
}

void MyfsdProcess::kill9() {
  send_signal(SIGKILL);
  if (running()) wait_for_end();
}

int MyfsdProcess::terminate() {
  send_signal(SIGTERM);
  return running() ? wait_for_end() : -1;
}

std::string MyfsdProcess::tcp_address() const {
  std::istringstream words(ready_);
  std::string word;
  while (words >> word) {
    if (word.rfind("tcp:", 0) == 0) return word.substr(4);
  }
  return {};
}

std::string MyfsdProcess::output() const {
  std::ifstream in(log_path_);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

ProgramResult MyfsdProcess::fsck() const {
  return run_program({bin("myfsd"), "--fsck", data_dir_});
}

}  // namespace myfs::test
