#include "sdk/uv/loop_impl.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <system_error>

#include "sdk/base/clock.h"
#include "sdk/base/log.h"
#include "sdk/uv/loop_lead.h"

namespace myfs::uv_io {

thread_local const void* t_inside_loop = nullptr;

Loop::Impl::Impl(Options options) : options_(std::move(options)) {}

Loop::Impl::~Impl() {
  if (kick_fd_ >= 0) ::close(kick_fd_);
  if (watch_fd_ >= 0) ::close(watch_fd_);
}

Result<void> Loop::Impl::start() {
  simulated_ = sim_hooks() != nullptr;
  int error = 0;
  port_ = make_event_port(&error);
  if (port_ == nullptr) return Errno(error);
  if (!simulated_ && ::sysconf(_SC_NPROCESSORS_ONLN) > 1) spin_ns_ = options_.spin_ns;
  port_->set_drain([this] { return drain(); });
  if (!simulated_ && options_.mode == Mode::kLeaderFollower) {
    kick_fd_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    watch_fd_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (kick_fd_ < 0 || watch_fd_ < 0) return Errno(errno);
  }
  tasks_ = kj::heap<kj::TaskSet>(static_cast<kj::TaskSet::ErrorHandler&>(*this));
  bool own = options_.mode == Mode::kOwnThread;
  if (own) port_->set_spin_ns(spin_ns_);
  try {
    thread_ = Thread(options_.name, [this, own] { own ? run_own_thread() : run_background(); });
  } catch (const std::system_error& e) {
    return Errno(e.code().value());
  }
  return ok_result();
}

bool Loop::Impl::in_loop() const { return t_inside_loop == this; }

void Loop::Impl::abandon_in_child() {
  port_->abandon_in_child();
  if (kick_fd_ >= 0) ::close(kick_fd_);
  if (watch_fd_ >= 0) ::close(watch_fd_);
}

void Loop::Impl::taskFailed(kj::Exception&& exception) {
  log(LogLevel::kWarning, "%s: a task failed: %s", options_.name,
      exception.getDescription().cStr());
}

Loop::Stats Loop::Impl::stats() const {
  Stats stats;
  stats.caller_leads = caller_leads_.load(std::memory_order_relaxed);
  stats.background_leads = background_leads_.load(std::memory_order_relaxed);
  stats.spins_won = spins_won_.load(std::memory_order_relaxed);
  stats.spins_lost = spins_lost_.load(std::memory_order_relaxed);
  stats.kicks = kicks_.load(std::memory_order_relaxed);
  return stats;
}

// ---- submissions ----

void Loop::Impl::enqueue(Fn fn, Event* on_drop) {
  {
    MutexLock guard(queue_mutex_);
    if (!closed_) {
      queue_.push_back(Submission{std::move(fn), on_drop});
      queued_.store(true, std::memory_order_seq_cst);
      return;
    }
  }
  fn = nullptr;
  if (on_drop != nullptr) on_drop->set();
}

bool Loop::Impl::drain() {
  if (!queued_.load(std::memory_order_seq_cst)) return stopping_.load(std::memory_order_relaxed);
  {
    MutexLock guard(queue_mutex_);
    running_.swap(queue_);
    queued_.store(false, std::memory_order_seq_cst);
  }
  for (Submission& submission : running_) {
    KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] { submission.fn(); })) {
      log(LogLevel::kError, "%s: a submitted function threw: %s", options_.name,
          exception->getDescription().cStr());
    }
  }
  running_.clear();
  unsent_ = true;
  return true;
}

void Loop::Impl::drop_submissions() {
  std::vector<Submission> dropped;
  {
    MutexLock guard(queue_mutex_);
    closed_ = true;
    dropped.swap(queue_);
    queued_.store(false, std::memory_order_seq_cst);
  }
  for (Submission& submission : dropped) {
    submission.fn = nullptr;
    if (submission.on_drop != nullptr) submission.on_drop->set();
  }
}

void Loop::Impl::post(Fn fn, Event* on_drop) {
  enqueue(std::move(fn), on_drop);
  if (options_.mode == Mode::kOwnThread) {
    port_->kick();
  } else if (!in_loop() && !led_.load(std::memory_order_seq_cst)) {
    kick_background();
  }
}

void Loop::Impl::submit(Fn fn) {
  if (options_.mode == Mode::kOwnThread || in_loop()) {
    post(std::move(fn), nullptr);
    return;
  }
  enqueue(std::move(fn), nullptr);
  if (lead_.try_lock()) {
    {
      Lead lead(*this, false);
      if (lead.entered()) dispatch(nullptr);
    }
    give_up_lead();
    lead_.unlock();
    after_lead();
  } else if (!led_.load(std::memory_order_seq_cst)) {
    kick_background();
  }
}

// ---- life ----

void Loop::Impl::tear_down() {
  drop_submissions();
  tasks_ = nullptr;
  // What the tasks left in the KJ queue.
  dispatch(nullptr);
}

void Loop::Impl::run_own_thread() {
  {
    kj::WaitScope scope(port_->kj_loop());
    t_inside_loop = this;
    while (!stopping_.load(std::memory_order_acquire)) {
      port_->kj_loop().run();
      port_->wait();
    }
    tear_down();
    t_inside_loop = nullptr;
  }
}

Errno Loop::Impl::stop() {
  if (in_loop()) return Errno(EDEADLK);
  MutexLock guard(stop_mutex_);
  if (stop_done_) return Errno();
  stop_done_ = true;
  stopping_.store(true, std::memory_order_seq_cst);
  if (options_.mode == Mode::kOwnThread) {
    port_->kick();
  } else {
    kick_background();
  }
  if (thread_.joinable()) thread_.join();
  if (options_.mode == Mode::kLeaderFollower) {
    lead_.lock();
    {
      Lead lead(*this, false);
      // A thread that runs a KJ loop of its own cannot enter ours: another one tears down.
      if (lead.entered()) {
        tear_down();
      } else {
        Thread helper("myfs-stop", [this] {
          Lead inner(*this, true);
          tear_down();
        });
        helper.join();
      }
    }
    give_up_lead();
    lead_.unlock();
  }
  return Errno();
}

// ---- driving ----

void Loop::Impl::dispatch(const Event* done) {
  constexpr int kRoundsAfterDone = 4;
  int rounds_left = kRoundsAfterDone;
  kj::EventLoop& loop = port_->kj_loop();
  while (true) {
    loop.run();
    // What KJ has to send after a reply is the release of its answer. It goes with the next call,
    // or with the next tick of the background thread: sent alone it would wake the server for
    // nothing.
    if (done != nullptr && done->is_set() && !unsent_ && !loop.isRunnable() &&
        background_.load(std::memory_order_relaxed) == Background::kTicking) {
      return;
    }
    unsent_ = false;
    port_->poll();
    if (!loop.isRunnable() && !queued_.load(std::memory_order_relaxed)) return;
    bool leave = done != nullptr ? done->is_set() : stopping_.load(std::memory_order_relaxed);
    if (leave && --rounds_left == 0) return;
  }
}

bool Loop::Impl::spin(const Event* done, int64_t since_ns) {
  kj::EventLoop& loop = port_->kj_loop();
  const int64_t until_ns = since_ns + spin_ns_;
  int64_t looked_ns = boottime_ns();
  unsigned looks = 0;
  while (true) {
    port_->poll();
    if (loop.isRunnable() || queued_.load(std::memory_order_relaxed)) {
      dispatch(done);
      if (done == nullptr) return true;
      looked_ns = boottime_ns();
    }
    if (done != nullptr && done->is_set()) return true;
    int64_t now_ns = boottime_ns();
    if (now_ns - looked_ns > kContended_ns) {
      background_policy_.contended();
      spin_score_ = 0;
      return false;
    }
    if (stopping_.load(std::memory_order_relaxed) || now_ns >= until_ns) return false;
    looked_ns = now_ns;
    yield_now_and_then(++looks);
  }
}

// The last act of a leader; lead_ is still held.
void Loop::Impl::give_up_lead() {
  more_.store(port_->kj_loop().isRunnable(), std::memory_order_relaxed);
  next_timer_ns_.store(port_->next_timer_ns(), std::memory_order_seq_cst);
  if (spin_ns_ > 0) idle_since_ns_ = boottime_ns();
  led_.store(false, std::memory_order_seq_cst);
}

// After lead_ was released: whatever came meanwhile must find somebody who cares.
void Loop::Impl::after_lead() {
  if (watchers_.load(std::memory_order_seq_cst) > 0) {
    uint64_t one = 1;
    (void)!::write(watch_fd_, &one, sizeof one);
  }
  if (led_.load(std::memory_order_seq_cst)) return;  // the next leader looks
  bool ticking = background_.load(std::memory_order_seq_cst) == Background::kTicking;
  if (queued_.load(std::memory_order_seq_cst) || more_.load(std::memory_order_relaxed) ||
      (ticking && asleep_.load(std::memory_order_seq_cst) > 0) ||
      next_timer_ns_.load(std::memory_order_relaxed) <
          background_wake_ns_.load(std::memory_order_seq_cst)) {
    kick_background();
  }
}

}  // namespace myfs::uv_io
