#include "cli/shell/run/interrupt.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

namespace shell {
namespace {

int g_pipe[2] = {-1, -1};  // wakes the watcher
int g_event = -1;          // readable: interrupted
std::mutex g_mutex;
myfs::CancelToken* g_running = nullptr;  // guarded by g_mutex

bool is_interrupted() {
  pollfd event{g_event, POLLIN, 0};
  return ::poll(&event, 1, 0) == 1;
}

std::atomic<bool> g_sent = false;

void on_signal(int, siginfo_t* info, void*) {
  int saved = errno;
  g_sent = info->si_code != SI_KERNEL;
  uint64_t one = 1;
  [[maybe_unused]] ssize_t n = ::write(g_event, &one, sizeof one);
  n = ::write(g_pipe[1], "", 1);
  errno = saved;
}

void watch() {
  char byte;
  while (true) {
    ssize_t n = ::read(g_pipe[0], &byte, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    std::lock_guard lock(g_mutex);
    if (g_running != nullptr && is_interrupted()) g_running->fire();
  }
}

}  // namespace

void install_interrupts() {
  g_event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (g_event < 0 || ::pipe2(g_pipe, O_CLOEXEC) != 0) {
    std::perror("myfs-shell: cannot catch Ctrl-C");
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
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGINT, &action, nullptr);
}

bool interrupt_was_sent() { return g_sent; }

int interrupt_fd() { return g_event; }

void forget_interrupt() {
  uint64_t count;
  [[maybe_unused]] ssize_t n = ::read(g_event, &count, sizeof count);
}

CommandScope::CommandScope() {
  std::lock_guard lock(g_mutex);
  g_running = &token_;
  if (is_interrupted()) token_.fire();
}

CommandScope::~CommandScope() {
  std::lock_guard lock(g_mutex);
  g_running = nullptr;
  forget_interrupt();
}

bool CommandScope::interrupted() const { return is_interrupted(); }

}  // namespace shell
