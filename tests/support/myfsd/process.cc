#include "tests/support/myfsd/process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

extern char** environ;

namespace myfs::test {
namespace {

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> result;
  for (std::string& word : words) result.push_back(word.data());
  result.push_back(nullptr);
  return result;
}

int status_of(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

std::string read_to_end(int fd) {
  std::string text;
  char buffer[4096];
  while (true) {
    ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return text;
    text.append(buffer, static_cast<size_t>(n));
  }
}

}  // namespace

std::string bin(const std::string& name) { return std::string(MYFS_BIN_DIR) + "/" + name; }

int run_program(const std::vector<std::string>& command, std::string* output) {
  int out[2];
  if (::pipe2(out, O_CLOEXEC) != 0) return -1;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_adddup2(&actions, out[1], 2);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  std::vector<std::string> words = command;
  pid_t pid = -1;
  int error =
      ::posix_spawn(&pid, words[0].c_str(), &actions, nullptr, pointers(words).data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(out[1]);
  if (error != 0) {
    ::close(out[0]);
    return -1;
  }
  std::string text = read_to_end(out[0]);
  ::close(out[0]);
  if (output != nullptr) *output = text;
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status_of(status);
}

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

bool MyfsdProcess::start() {
  int out[2];
  if (::pipe2(out, O_CLOEXEC) != 0) return false;
  std::vector<std::string> words = {bin("myfsd"), "--data", data_dir_, "--listen",
                                    "unix:" + socket_path()};
  words.insert(words.end(), more_args_.begin(), more_args_.end());
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_addopen(&actions, 2, log_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                   0600);
  int error =
      ::posix_spawn(&pid_, words[0].c_str(), &actions, nullptr, pointers(words).data(), environ);
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
    wait_for_end();
    return false;
  }
  ready_ = line.substr(sizeof kReady - 1, line.size() - sizeof kReady);
  return true;
}

void MyfsdProcess::signal(int number) {
  if (running()) ::kill(pid_, number);
}

int MyfsdProcess::wait_for_end() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return status_of(status);
}

void MyfsdProcess::kill9() {
  signal(SIGKILL);
  if (running()) wait_for_end();
}

int MyfsdProcess::terminate() {
  signal(SIGTERM);
  return running() ? wait_for_end() : -1;
}

std::string MyfsdProcess::output() const {
  std::ifstream in(log_path_);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace myfs::test
