#include "cli/shell/run/local_program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "cli/shell/run/interrupt.h"

namespace shell {

LocalProgram::LocalProgram(const std::string& command, int input) {
  std::string words[] = {"sh", "-c", command};
  char* argv[] = {words[0].data(), words[1].data(), words[2].data(), nullptr};
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  if (input >= 0) posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  error_ = ::posix_spawn(&pid_, "/bin/sh", &files, &attributes, argv, environ);
  if (error_ != 0) pid_ = -1;
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
}

LocalProgram::~LocalProgram() {
  if (pid_ > 0) wait();
}

int LocalProgram::wait() {
  pid_t pid = std::exchange(pid_, -1);
  auto pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  pollfd sources[2] = {{interrupt_fd(), POLLIN, 0}, {pidfd, POLLIN, 0}};
  while (pidfd >= 0 && ::poll(sources, 2, -1) < 0) {
  }
  if (pidfd < 0 || (sources[0].revents != 0 && interrupt_was_sent())) ::kill(pid, SIGINT);
  if (pidfd >= 0) ::close(pidfd);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int Pipe::open() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return errno;
  read_end = ends[0];
  write_end = ends[1];
  return ::fcntl(write_end, F_SETFL, O_NONBLOCK) == 0 ? 0 : errno;
}

void Pipe::close_read_end() {
  if (read_end >= 0) ::close(std::exchange(read_end, -1));
}

void Pipe::close_write_end() {
  if (write_end >= 0) ::close(std::exchange(write_end, -1));
}

Pipe::~Pipe() {
  close_read_end();
  close_write_end();
}

}  // namespace shell
