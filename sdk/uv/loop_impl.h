// Loop::Impl: the submission queue, the lead and the background thread behind Loop.
// Kernel counterpart: see loop.h.
// Thread safety: as loop.h says. Lock rank: kLead, kLoop.
// Owns / is owned by: owned by Loop.
// Invariants: (1) `queued_` is true while `queue_` is not empty, and is set before a submitter
// looks at `led_`, while a
// leader clears `led_` before he looks at `queued_`: one of the two sees the other; (2) the same
// holds for `asleep_` and `background_`; (3) background_ is kTicking only while the background
// thread does not watch the loop's descriptor.
#pragma once

#include <kj/async.h>

#include <atomic>
#include <memory>
#include <vector>

#include "sdk/uv/fork_guard.h"
#include "sdk/uv/loop.h"
#include "sdk/uv/spin_policy.h"

namespace myfs::uv_io {

class Loop::Impl final : private kj::TaskSet::ErrorHandler {
 public:
  explicit Impl(Options options);
  ~Impl();

  Result<void> start();
  Errno stop();
  bool stopped() const { return stopping_.load(std::memory_order_acquire); }
  bool in_loop() const;
  bool same_process() const { return guard_.same_process(); }
  void abandon_in_child();

  // `on_drop` is set when fn is destroyed unrun.
  void enqueue(Fn fn, Event* on_drop);
  void post(Fn fn, Event* on_drop);
  void submit(Fn fn);
  bool wait_for(Event& done, int64_t deadline_ns);
  void expect(int replies);

  EventPort& port() { return *port_; }
  kj::TaskSet& tasks() { return *tasks_; }
  Stats stats() const;

 private:
  struct Submission {
    Fn fn;
    Event* on_drop;
  };
  enum class Background : uint8_t { kTicking, kWatching, kLeading };
  enum class LeadResult : uint8_t { kBusy, kDone, kNotDone };
  class Lead;

  void taskFailed(kj::Exception&& exception) override;

  bool drain();
  void drop_submissions();
  void tear_down();
  void run_own_thread();

  // Rounds of dispatching until nothing is left, or, once `done` is set, for a few more. Inside a
  // Lead.
  void dispatch(const Event* done);
  // Looks for at most spin_ns after `since_ns`, until `done` is set (null: until something came).
  // Inside a Lead.
  bool spin(const Event* done, int64_t since_ns);
  void give_up_lead();
  void after_lead();

  void run_background();
  void background_dispatch(bool was_asleep);
  // True: an event of the loop or a timer may be there.
  void background_sleep(bool watch);
  void kick_background();

  LeadResult lead_for(Event& done, int64_t since_ns, bool may_spin);
  void watch_briefly(Event& done, int64_t since_ns, int64_t deadline_ns);
  bool sleep_for(Event& done, int64_t deadline_ns);

  const Options options_;
  int64_t spin_ns_ = 0;  // 0 also where spinning cannot pay: one processor, simulation
  const ForkGuard guard_;
  std::unique_ptr<EventPort> port_;
  kj::Own<kj::TaskSet> tasks_;
  bool simulated_ = false;
  int kick_fd_ = -1;   // wakes the background thread
  int watch_fd_ = -1;  // wakes a caller that watches the loop's descriptor

  std::atomic<bool> stopping_{false};
  std::atomic<bool> queued_{false};
  std::atomic<bool> led_{false};
  std::atomic<int> asleep_{0};    // callers that wait and do not watch, and replies expected
  std::atomic<int> watchers_{0};  // callers that sleep on the loop's descriptor
  std::atomic<Background> background_{Background::kWatching};
  std::atomic<bool> kicked_{false};
  std::atomic<bool> more_{false};  // the KJ queue was not empty at the end of the last lead
  std::atomic<int64_t> next_timer_ns_{kNoDeadline};  // as of the last lead
  std::atomic<int64_t> background_wake_ns_{
      kNoDeadline};  // when the background thread wakes by itself
  std::atomic<uint64_t> caller_leads_{0};
  std::atomic<uint64_t> background_leads_{0};
  std::atomic<uint64_t> spins_won_{0};
  std::atomic<uint64_t> spins_lost_{0};
  std::atomic<uint64_t> kicks_{0};

  Mutex lead_{LockRank::kLead};
  // Guarded by lead_:
  SpinPolicy background_policy_;
  int64_t idle_since_ns_ = 0;
  int spin_score_ = 4;  // of callers: rises with replies within the window, falls with others
  unsigned spin_probe_ = 0;
  bool unsent_ = false;  // a submission ran and what it sent was not flushed yet

  Mutex queue_mutex_{LockRank::kLoop};
  std::vector<Submission> queue_ ABSL_GUARDED_BY(queue_mutex_);
  bool closed_ ABSL_GUARDED_BY(queue_mutex_) = false;
  std::vector<Submission> running_;  // guarded by lead_

  Mutex stop_mutex_{LockRank::kUnranked};
  bool stop_done_ ABSL_GUARDED_BY(stop_mutex_) = false;
  Thread thread_;
};

}  // namespace myfs::uv_io
