#include "cli/shell/interrupt.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

namespace shell {
namespace {

int g_pipe[2] = {-1, -1};
std::atomic<bool> g_interrupted{false};
std::mutex g_mutex;
myfs::CancelToken* g_running = nullptr;  // guarded by g_mutex

void on_signal(int) {
  int saved = errno;
  char byte = 0;
  [[maybe_unused]] ssize_t n = ::write(g_pipe[1], &byte, 1);
  errno = saved;
}

void watch() {
  char byte;
  while (true) {
    ssize_t n = ::read(g_pipe[0], &byte, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    std::lock_guard lock(g_mutex);
    if (g_running == nullptr) continue;
    g_interrupted.store(true);
    g_running->fire();
  }
}

}  // namespace

void install_interrupts() {
  if (::pipe2(g_pipe, O_CLOEXEC) != 0) {
    std::perror("myfs-shell: pipe");
    std::exit(1);
  }
  // The watcher must not receive the signal itself: the line editor's read is to be interrupted.
  sigset_t interrupt, old;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  pthread_sigmask(SIG_BLOCK, &interrupt, &old);
  std::thread(watch).detach();
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, nullptr);
}

CommandScope::CommandScope() {
  std::lock_guard lock(g_mutex);
  g_interrupted.store(false);
  g_running = &token_;
}

CommandScope::~CommandScope() {
  std::lock_guard lock(g_mutex);
  g_running = nullptr;
}

bool CommandScope::interrupted() const { return g_interrupted.load(); }

}  // namespace shell
