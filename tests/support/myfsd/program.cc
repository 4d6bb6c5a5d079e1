#include "tests/support/myfsd/program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

extern char** environ;

namespace myfs::test {
namespace {

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return exit_status(status);
}

// Files in memory for what goes in and out: no pipe can fill up and stop both sides.
std::string content_of(int fd) {
  std::string text;
  char buffer[65536];
  off_t at = 0;
  while (true) {
    ssize_t n = ::pread(fd, buffer, sizeof buffer, at);
    if (n <= 0) return text;
    text.append(buffer, static_cast<size_t>(n));
    at += n;
  }
}

pid_t spawn(std::vector<std::string> command, int in, int out, int err) {
  std::vector<char*> words;
  for (std::string& word : command) words.push_back(word.data());
  words.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, 0);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  if (err >= 0) posix_spawn_file_actions_adddup2(&actions, err, 2);
  pid_t pid = -1;
  int error = ::posix_spawnp(&pid, words[0], &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  return error == 0 ? pid : -1;
}

}  // namespace

std::string bin(const std::string& name) { return std::string(MYFS_BIN_DIR) + "/" + name; }

int exit_status(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

ProgramResult run_program(const std::vector<std::string>& command, const std::string& input) {
  int in = ::memfd_create("stdin", MFD_CLOEXEC);
  int out = ::memfd_create("stdout", MFD_CLOEXEC);
  int err = ::memfd_create("stderr", MFD_CLOEXEC);
  ProgramResult result;
  bool ready = ::pwrite(in, input.data(), input.size(), 0) == static_cast<ssize_t>(input.size());
  pid_t pid = ready ? spawn(command, in, out, err) : -1;
  if (pid > 0) {
    result.status = wait_for(pid);
    result.out = content_of(out);
    result.err = content_of(err);
  }
  for (int fd : {in, out, err}) ::close(fd);
  return result;
}

Program::~Program() {
  if (pid_ > 0) {
    kill(SIGKILL);
    wait();
  }
}

bool Program::start(const std::vector<std::string>& command) {
  int in[2], out[2];
  // A socket for its input: sending to a program that has ended fails without SIGPIPE.
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) != 0) return false;
  if (::pipe2(out, O_CLOEXEC) != 0) return false;
  pid_ = spawn(command, in[0], out[1], -1);
  ::close(in[0]);
  ::close(out[1]);
  to_ = in[1];
  from_ = out[0];
  return pid_ > 0;
}

bool Program::send(const std::string& line) {
  std::string text = line + "\n";
  return ::send(to_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

bool Program::receive(std::string* line) {
  size_t end = 0;
  while ((end = buffer_.find('\n')) == std::string::npos) {
    char more[4096];
    ssize_t n = ::read(from_, more, sizeof more);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    buffer_.append(more, static_cast<size_t>(n));
  }
  *line = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  return true;
}

std::string Program::ask(const std::string& line) {
  std::string answer;
  return send(line) && receive(&answer) ? answer : "<no answer>";
}

void Program::close_input() {
  if (to_ >= 0) ::close(to_);
  to_ = -1;
}

void signal_child(pid_t pid, int number) {
  ::kill(pid, number);
  int status = 0;
  while (number == SIGSTOP && ::waitpid(pid, &status, WUNTRACED) < 0 && errno == EINTR) {
  }
}

void Program::kill(int signal_number) const {
  if (pid_ > 0) signal_child(pid_, signal_number);
}

int Program::wait() {
  close_input();
  int status = pid_ > 0 ? wait_for(pid_) : -1;
  pid_ = -1;
  if (from_ >= 0) ::close(from_);
  from_ = -1;
  return status;
}

}  // namespace myfs::test
