// The leader/follower mode: callers that wait, and the background thread that watches when they do
// not.
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "sdk/base/clock.h"
#include "sdk/uv/loop_impl.h"
#include "sdk/uv/loop_lead.h"
#include "sdk/uv/sim_event_port.h"

namespace myfs::uv_io {
namespace {

constexpr int64_t kTick_ns = kNsPerMs;
constexpr int kSpinScoreMax = 8;
constexpr unsigned kSpinProbe = 16;  // with a bad score one call in so many spins all the same
constexpr int kLeadAttempts = 3;
// A thread that runs a KJ loop of its own is asked again only after so many waits.
constexpr int kForeignPause = 1000;
thread_local int t_foreign_pause = 0;

// Not poll(2) of libc, which is a point of cancellation. `timeout_ns` kNoDeadline: none.
int poll_ns(pollfd* fds, nfds_t count, int64_t timeout_ns) {
  timespec timeout{timeout_ns / kNsPerSec, timeout_ns % kNsPerSec};
  return static_cast<int>(
      ::syscall(SYS_ppoll, fds, count, timeout_ns == kNoDeadline ? nullptr : &timeout, nullptr, 0));
}

void take_signal(int fd) {
  uint64_t count;
  (void)!::read(fd, &count, sizeof count);
}

}  // namespace

// ---- the thread that waits ----

bool Loop::Impl::wait_for(Event& done, int64_t deadline_ns) {
  if (done.is_set()) return true;
  if (in_loop()) return false;
  if (options_.mode == Mode::kOwnThread) {
    port_->kick();
    return done.wait_until(deadline_ns);
  }
  const int64_t since_ns = boottime_ns();
  for (int attempt = 0; attempt < kLeadAttempts; ++attempt) {
    switch (lead_for(done, since_ns, true)) {
      case LeadResult::kDone:
        return true;
      case LeadResult::kNotDone:
        watch_briefly(done, since_ns, deadline_ns);
        return done.is_set() || sleep_for(done, deadline_ns);
      case LeadResult::kBusy:
        asleep_.fetch_add(1, std::memory_order_seq_cst);
        if (led_.load(std::memory_order_seq_cst)) {
          // Who leads now sees asleep_ when he stops.
          bool in_time = done.wait_until(deadline_ns);
          asleep_.fetch_sub(1, std::memory_order_relaxed);
          return in_time;
        }
        asleep_.fetch_sub(1, std::memory_order_relaxed);
    }
  }
  return sleep_for(done, deadline_ns);
}

Loop::Impl::LeadResult Loop::Impl::lead_for(Event& done, int64_t since_ns, bool may_spin) {
  if (t_foreign_pause > 0) {
    --t_foreign_pause;
    return LeadResult::kNotDone;
  }
  if (!lead_.try_lock()) return LeadResult::kBusy;
  caller_leads_.store(caller_leads_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  {
    Lead lead(*this, false);
    if (!lead.entered()) {
      t_foreign_pause = kForeignPause;
    } else {
      dispatch(&done);
      bool score = spin_ns_ > 0 && may_spin && !done.is_set();
      if (score && (spin_score_ > 0 || ++spin_probe_ % kSpinProbe == 0)) {
        spin(&done, since_ns);
      }
      if (score && done.is_set()) {
        spin_score_ = std::min(spin_score_ + 1, kSpinScoreMax);
        spins_won_.store(spins_won_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      } else if (score) {
        spin_score_ = std::max(spin_score_ - 1, 0);
        spins_lost_.store(spins_lost_.load(std::memory_order_relaxed) + 1,
                          std::memory_order_relaxed);
      } else if (!may_spin && done.is_set() && boottime_ns() - since_ns < spin_ns_ + kWakeCost_ns) {
        spin_score_ = std::min(spin_score_ + 2, kSpinScoreMax);
      }
    }
  }
  give_up_lead();
  lead_.unlock();
  after_lead();
  return done.is_set() ? LeadResult::kDone : LeadResult::kNotDone;
}

// A single waiting thread sleeps on the loop itself for a while, which spares a wake-up of the
// background thread; not for long, since a signal handler may keep it away from what the server
// asks.
void Loop::Impl::watch_briefly(Event& done, int64_t since_ns, int64_t deadline_ns) {
  if (simulated_ || t_foreign_pause > 0) return;
  if (asleep_.load(std::memory_order_relaxed) > 0) return;
  if (watchers_.fetch_add(1, std::memory_order_seq_cst) == 0) {
    const int64_t until_ns = std::min(deadline_ns, boottime_ns() + kTick_ns);
    while (!done.is_set() && !stopping_.load(std::memory_order_relaxed)) {
      int64_t left_ns = until_ns - boottime_ns();
      if (left_ns <= 0) break;
      pollfd fds[2] = {{port_->backend_fd(), POLLIN, 0}, {watch_fd_, POLLIN, 0}};
      if (poll_ns(fds, 2, left_ns) <= 0) continue;
      if (fds[1].revents != 0) take_signal(watch_fd_);
      if (fds[0].revents == 0) continue;
      // Not a watcher while it leads: it need not be told that the leader has stopped.
      watchers_.fetch_sub(1, std::memory_order_seq_cst);
      LeadResult result = lead_for(done, since_ns, false);
      // Busy: another one leads; what is ours he will find.
      if (result != LeadResult::kNotDone) return;
      if (watchers_.fetch_add(1, std::memory_order_seq_cst) != 0) break;
    }
  }
  watchers_.fetch_sub(1, std::memory_order_seq_cst);
}

bool Loop::Impl::sleep_for(Event& done, int64_t deadline_ns) {
  asleep_.fetch_add(1, std::memory_order_seq_cst);
  if (!led_.load(std::memory_order_seq_cst) &&
      (background_.load(std::memory_order_seq_cst) == Background::kTicking ||
       queued_.load(std::memory_order_seq_cst))) {
    kick_background();
  }
  bool in_time = done.wait_until(deadline_ns);
  asleep_.fetch_sub(1, std::memory_order_relaxed);
  return in_time;
}

// ---- the background thread ----

void Loop::Impl::expect(int replies) {
  if (options_.mode == Mode::kOwnThread) return;
  const int before = asleep_.fetch_add(replies, std::memory_order_seq_cst);
  // Who leads now sees it when he stops.
  if (before == 0 && replies > 0 && !led_.load(std::memory_order_seq_cst) &&
      background_.load(std::memory_order_seq_cst) == Background::kTicking) {
    kick_background();
  }
}

void Loop::Impl::kick_background() {
  if (simulated_) {
    port_->kick();
    return;
  }
  if (kicked_.exchange(true, std::memory_order_seq_cst)) return;
  kicks_.fetch_add(1, std::memory_order_relaxed);
  uint64_t one = 1;
  (void)!::write(kick_fd_, &one, sizeof one);
}

void Loop::Impl::run_background() {
  uint64_t leads_seen = 0;
  bool turned_away = false;
  while (!stopping_.load(std::memory_order_acquire)) {
    uint64_t leads = caller_leads_.load(std::memory_order_relaxed);
    bool watch =
        simulated_ ||
        (!turned_away && (leads == leads_seen || asleep_.load(std::memory_order_seq_cst) > 0));
    leads_seen = leads;
    background_sleep(watch);
    if (stopping_.load(std::memory_order_acquire)) break;
    if (simulated_) {
      lead_.lock();
    } else if (!lead_.try_lock()) {
      // Who leads looks at everything, and kicks us when he stops and somebody sleeps.
      turned_away = true;
      continue;
    }
    turned_away = false;
    background_.store(Background::kLeading, std::memory_order_relaxed);
    background_dispatch(watch);
    lead_.unlock();
    after_lead();
  }
}

void Loop::Impl::background_dispatch(bool was_asleep) {
  background_leads_.fetch_add(1, std::memory_order_relaxed);
  {
    Lead lead(*this, true);
    if (spin_ns_ > 0) background_policy_.observed(boottime_ns() - idle_since_ns_, was_asleep);
    dispatch(nullptr);
    // While threads wait for replies that come one upon the other, this one is the loop's own.
    while (asleep_.load(std::memory_order_relaxed) > 0 && background_policy_.worth_it(spin_ns_)) {
      int64_t idle_since_ns = boottime_ns();
      if (!spin(nullptr, idle_since_ns)) break;
      background_policy_.observed(boottime_ns() - idle_since_ns, false);
    }
  }
  give_up_lead();
}

void Loop::Impl::background_sleep(bool watch) {
  if (simulated_) static_cast<SimEventPort&>(*port_).arm_kick();
  background_.store(watch ? Background::kWatching : Background::kTicking,
                    std::memory_order_seq_cst);
  const bool led = led_.load(std::memory_order_seq_cst);
  if (!led && (queued_.load(std::memory_order_seq_cst) || more_.load(std::memory_order_relaxed))) {
    return;
  }
  if (!led && !watch && asleep_.load(std::memory_order_seq_cst) > 0) {
    watch = true;
    background_.store(Background::kWatching, std::memory_order_seq_cst);
  }
  // First "never", so that a leader who sets an earlier timer meanwhile kicks.
  background_wake_ns_.store(kNoDeadline, std::memory_order_seq_cst);
  const int64_t wake_ns = next_timer_ns_.load(std::memory_order_seq_cst);
  background_wake_ns_.store(watch ? wake_ns : 0, std::memory_order_relaxed);
  if (simulated_) {
    static_cast<SimEventPort&>(*port_).sleep();
    return;
  }
  int64_t timeout_ns = kTick_ns;
  if (watch) {
    timeout_ns = wake_ns == kNoDeadline
                     ? kNoDeadline
                     : std::clamp<int64_t>(wake_ns - boottime_ns(), 0, 60 * kNsPerSec);
  }
  pollfd fds[2] = {{kick_fd_, POLLIN, 0}, {port_->backend_fd(), POLLIN, 0}};
  poll_ns(fds, watch ? 2 : 1, timeout_ns);
  if (fds[0].revents != 0) take_signal(kick_fd_);
  kicked_.store(false, std::memory_order_seq_cst);
}

}  // namespace myfs::uv_io
