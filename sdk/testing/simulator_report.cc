// What a simulation that does not get on tells before it dies: who waits for whom.
#include <execinfo.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "sdk/testing/simulator.h"

namespace myfs::sim {
namespace {

constexpr uint64_t kTraceLines = 60;
constexpr int kFramesMax = 48;
constexpr int kPatience_ms = 200;  // with a thread whose signals are blocked
constinit std::atomic<bool> g_printed{false};

void print_own_stack(int) {
  void* frames[kFramesMax];
  int count = ::backtrace(frames, kFramesMax);
  ::backtrace_symbols_fd(frames, count, STDERR_FILENO);
  g_printed.store(true);
}

}  // namespace

// Only locks have a holder that is known; who waits for a message or an event waits for nobody in
// particular.
void Simulator::print_cycles() {
  auto holder_of = [this](const SimThread* waiter) -> const SimThread* {
    for (const SimThread* thread : live_) {
      if (waiter->holder != 0 && thread->kernel_id == waiter->holder) return thread;
    }
    return nullptr;
  };
  std::set<const SimThread*> told;
  for (const SimThread* start : live_) {
    std::vector<const SimThread*> chain;
    std::set<const SimThread*> seen;
    const SimThread* at = start;
    for (; at != nullptr && seen.insert(at).second; at = holder_of(at)) chain.push_back(at);
    if (chain.size() < 2 || told.contains(start)) continue;
    std::fprintf(stderr, at == nullptr ? "  chain:" : "  CYCLE:");
    for (const SimThread* thread : chain) {
      std::fprintf(stderr, " %s waits for", thread->name.c_str());
      told.insert(thread);
    }
    std::fprintf(stderr, " %s\n", at == nullptr ? "something else" : at->name.c_str());
  }
}

void Simulator::print_stacks() {
  struct sigaction action = {};
  action.sa_handler = print_own_stack;
  ::sigaction(SIGUSR2, &action, nullptr);
  void* frame[1];
  (void)::backtrace(frame, 1);  // loads what it needs
  for (SimThread* thread : live_) {
    if (thread->state != State::kWaiting || thread->group->dead) continue;
    std::fprintf(stderr, "--- %s\n", thread->name.c_str());
    g_printed.store(false);
    if (pthread_kill(thread->os_handle, SIGUSR2) != 0) continue;
    for (int waited = 0; waited < kPatience_ms && !g_printed.load(); ++waited) {
      ::poll(nullptr, 0, 1);
    }
  }
}

void Simulator::report() {
  std::fprintf(stderr, "%s", trace_.tail(kTraceLines).c_str());
  for (const SimThread* thread : live_) {
    std::fprintf(stderr, "  %-24s %s", thread->name.c_str(), thread->group->name.c_str());
    if (thread->group->dead) std::fprintf(stderr, " (killed)");
    if (thread->frozen) std::fprintf(stderr, " (stopped)");
    if (thread->state == State::kRunnable) {
      std::fprintf(stderr, " runs\n");
    } else if (thread->holder != 0) {
      std::fprintf(stderr, " waits for a lock\n");
    } else if (thread->deadline_ns == kNoDeadline) {
      std::fprintf(stderr, " waits for ever\n");
    } else {
      std::fprintf(stderr, " waits, at most %" PRId64 " us\n",
                   (thread->deadline_ns - now_ns_) / 1000);
    }
  }
  print_cycles();
  print_stacks();
}

void Simulator::die_of_deadlock() {
  std::fprintf(stderr, "simulation, seed %" PRIu64 ": all threads wait for ever:\n", options_.seed);
  report();
  std::abort();
}

}  // namespace myfs::sim
