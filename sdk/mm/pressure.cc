#include "sdk/mm/pressure.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <utility>

#include "sdk/mm/reclaim.h"

namespace myfs::mm {

namespace {

// Stalled for so long of each 2 s; windows of multiples of 2 s need no privilege.
constexpr char kSomeTrigger[] = "some 200000 2000000";
constexpr char kFullTrigger[] = "full 100000 2000000";

int open_trigger(const std::string& file, const char* trigger, size_t size) {
  const int fd = ::open(file.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return -1;
  if (::write(fd, trigger, size) == static_cast<ssize_t>(size)) return fd;
  ::close(fd);
  return -1;
}

}  // namespace

std::vector<PressureWatch::Source> PressureWatch::psi_sources(const std::string& pressure_file) {
  std::vector<Source> sources;
  if (pressure_file.empty()) return sources;
  const int some = open_trigger(pressure_file, kSomeTrigger, sizeof kSomeTrigger);
  if (some >= 0) sources.push_back({some, PressureLevel::kLow});
  const int full = open_trigger(pressure_file, kFullTrigger, sizeof kFullTrigger);
  if (full >= 0) sources.push_back({full, PressureLevel::kCritical});
  return sources;
}

void PressureWatch::watch(std::vector<Source> sources) {
  if (sources.empty()) return;
  MutexLock lock(mutex_);
  sources_.insert(sources_.end(), sources.begin(), sources.end());
  start_locked();
  wake();
}

void PressureWatch::start() {
  MutexLock lock(mutex_);
  start_locked();
}

void PressureWatch::exceeded() {
  if (!exceeded_.exchange(true, std::memory_order_acq_rel)) wake();
}

void PressureWatch::raise(PressureLevel level) {
  int before = raised_.load(std::memory_order_relaxed);
  const int now = static_cast<int>(level);
  while (before < now && !raised_.compare_exchange_weak(before, now, std::memory_order_acq_rel)) {
  }
  if (before < now) wake();
}

void PressureWatch::wake() {
  const int fd = wake_fd_.load(std::memory_order_acquire);
  if (fd >= 0) (void)::eventfd_write(fd, 1);
}

uint64_t PressureWatch::add(Fn fn) {
  MutexLock lock(mutex_);
  listeners_.push_back(std::make_shared<Listener>(Listener{next_id_++, std::move(fn)}));
  start_locked();
  return listeners_.back()->id;
}

void PressureWatch::remove(uint64_t id) {
  MutexLock lock(mutex_);
  std::erase_if(listeners_, [id](const auto& listener) { return listener->id == id; });
  while (running_ == id) told_.wait(mutex_);
}

void PressureWatch::start_locked() {
  if (thread_ != nullptr || stopping_) return;
  wake_fd_.store(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), std::memory_order_release);
  thread_ = std::make_unique<Thread>("myfs-pressure", [this] { run(); });
}

void PressureWatch::stop() {
  std::unique_ptr<Thread> thread;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    thread = std::move(thread_);
    wake();
  }
  if (thread != nullptr) thread->join();
  MutexLock lock(mutex_);
  for (const Source& source : sources_) ::close(source.fd);
  sources_.clear();
  const int fd = wake_fd_.exchange(-1, std::memory_order_acq_rel);
  if (fd >= 0) ::close(fd);
}

PressureWatch::Signs PressureWatch::wait(int64_t deadline_ns) {
  std::vector<Source> sources;
  {
    MutexLock lock(mutex_);
    sources = sources_;
  }
  std::vector<pollfd> fds{{wake_fd_.load(std::memory_order_acquire), POLLIN, 0}};
  for (const Source& source : sources) fds.push_back({source.fd, POLLPRI, 0});
  int timeout_ms = -1;
  if (deadline_ns != kNoDeadline) {
    const int64_t left_ns = std::max<int64_t>(deadline_ns - boottime_ns(), 0);
    timeout_ms = static_cast<int>(std::min<int64_t>(left_ns / kNsPerMs + 1, INT_MAX));
  }
  if (::poll(fds.data(), fds.size(), timeout_ms) < 0) return {};
  eventfd_t count;
  if (fds[0].revents != 0) (void)::eventfd_read(fds[0].fd, &count);
  Signs signs;
  signs.of_budget = static_cast<PressureLevel>(raised_.exchange(0, std::memory_order_acq_rel));
  for (size_t i = 0; i < sources.size(); ++i) {
    const short got = fds[i + 1].revents;
    if ((got & POLLPRI) != 0) signs.of_system = std::max(signs.of_system, sources[i].level);
    if ((got & (POLLERR | POLLNVAL | POLLHUP)) == 0) continue;
    // The cgroup has gone, and its triggers with it.
    MutexLock lock(mutex_);
    std::erase_if(sources_, [&](const Source& s) { return s.fd == sources[i].fd; });
    ::close(sources[i].fd);
  }
  return signs;
}

void PressureWatch::give_back(PressureLevel level) {
  const size_t share = level == PressureLevel::kCritical ? 2 : 8;
  const size_t used = budget_.used();
  budget_.give_back_above(used - used / share);
}

void PressureWatch::tell(PressureLevel level) {
  std::vector<std::shared_ptr<Listener>> listeners;
  {
    MutexLock lock(mutex_);
    listeners = listeners_;
  }
  for (const auto& listener : listeners) {
    {
      MutexLock lock(mutex_);
      auto found = std::find(listeners_.begin(), listeners_.end(), listener);
      if (found == listeners_.end()) continue;
      running_ = listener->id;
    }
    listener->fn(level);
    MutexLock lock(mutex_);
    running_ = 0;
    told_.notify_all();
  }
}

void PressureWatch::run() {
  int64_t calm_at_ns = kNoDeadline;
  while (true) {
    const Signs signs = wait(calm_at_ns);
    const PressureLevel seen = std::max(signs.of_system, signs.of_budget);
    {
      MutexLock lock(mutex_);
      if (stopping_) return;
    }
    if (exceeded_.exchange(false, std::memory_order_acq_rel))
      budget_.give_back_above(budget_.limit());
    const PressureLevel before = level();
    PressureLevel now = before;
    if (seen != PressureLevel::kNone) {
      calm_at_ns = deadline_after_ns(kCalm_ns);
      now = std::max(before, seen);
      // For the budget's own want everything was tried already.
      if (signs.of_system != PressureLevel::kNone) give_back(signs.of_system);
    } else if (calm_at_ns != kNoDeadline && boottime_ns() >= calm_at_ns) {
      calm_at_ns = kNoDeadline;
      now = PressureLevel::kNone;
    }
    if (now == before) continue;
    level_.store(now, std::memory_order_release);
    tell(now);
  }
}

}  // namespace myfs::mm
