#include "sdk/testing/simulator.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <climits>

#include "absl/strings/str_cat.h"
#include "sdk/base/rcu.h"

namespace myfs::sim {
namespace {

constinit thread_local const Simulator* t_simulator = nullptr;
constinit thread_local void* t_self = nullptr;

uint64_t split_mix(uint64_t* state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

uint64_t rotate_left(uint64_t x, int by) { return (x << by) | (x >> (64 - by)); }

// The baton passes faster between threads of one core.
void stay_on_one_core() {
  int cpu = ::sched_getcpu();
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  ::sched_setaffinity(0, sizeof set, &set);
}

void take_baton(std::atomic<uint32_t>& baton) {
  while (baton.exchange(0, std::memory_order_acquire) == 0) {
    ::syscall(SYS_futex, &baton, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
  }
}

void give_baton(std::atomic<uint32_t>& baton) {
  baton.store(1, std::memory_order_release);
  ::syscall(SYS_futex, &baton, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

bool reads_rcu() { return rcu_internal::t_reader != nullptr && rcu_internal::t_reader->depth > 0; }

}  // namespace

SimRandom::SimRandom(uint64_t seed) {
  for (uint64_t& word : state_) word = split_mix(&seed);
}

uint64_t SimRandom::next() {
  uint64_t result = rotate_left(state_[1] * 5, 7) * 9;
  uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = rotate_left(state_[3], 45);
  return result;
}

uint64_t SimRandom::below(uint64_t bound) { return next() % bound; }

Simulator::Simulator(Options options)
    : options_(options),
      schedule_random_(options.seed),
      world_random_(options.seed ^ 0x5157),
      program_random_(options.seed ^ 0xa11ce),
      trace_(options.whole_trace) {
  (void)add_group("world", 0);
}

Simulator::~Simulator() = default;

bool Simulator::owns_this_thread() { return t_simulator == this; }

Simulator::SimThread* Simulator::self() { return static_cast<SimThread*>(t_self); }

size_t Simulator::bucket_of(const void* channel) {
  return (reinterpret_cast<uintptr_t>(channel) * 0x9e3779b97f4a7c15) >> 56;
}

void Simulator::run(const std::function<void()>& body) {
  stay_on_one_core();
  SimThread* main;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    main = add_thread("main", groups_[kWorld].get());
  }
  begin_thread(main);
  g_sim_lock_hooks.store(this, std::memory_order_relaxed);
  g_sim_hooks.store(this, std::memory_order_seq_cst);
  body();
  std::unique_lock<std::mutex> lock(mutex_);  // nobody gets the baton any more
  g_sim_hooks.store(nullptr, std::memory_order_seq_cst);
  g_sim_lock_hooks.store(nullptr, std::memory_order_relaxed);
  t_simulator = nullptr;
  t_self = nullptr;
}

// ---- threads ----

Simulator::SimThread* Simulator::add_thread(std::string name, Group* group) {
  auto thread = std::make_unique<SimThread>();
  thread->id = static_cast<uint32_t>(threads_.size());
  thread->name = absl::StrCat(name, "#", thread->id);
  thread->trace_name = trace_.intern(thread->name);
  thread->group = group;
  threads_.push_back(std::move(thread));
  runnable_.resize(threads_.size() / 64 + 1);
  SimThread* added = threads_.back().get();
  live_.push_back(added);
  set_frozen(*added);
  refresh(*added);
  return added;
}

void Simulator::begin_thread(SimThread* thread) {
  t_simulator = this;
  t_self = thread;
  thread->os_handle = pthread_self();
  thread->kernel_id = static_cast<int>(::syscall(SYS_gettid));
}

// Made before any other thread-local object of its thread, so that it is destroyed after them: what
// their destructors do belongs to the simulation.
class Simulator::ExitBaton {
 public:
  void arm(Simulator* simulator, SimThread* thread) {
    simulator_ = simulator;
    thread_ = thread;
  }
  ~ExitBaton() {
    if (thread_ != nullptr) simulator_->exit_thread(thread_);
  }

 private:
  Simulator* simulator_ = nullptr;
  SimThread* thread_ = nullptr;
};

void Simulator::exit_thread(SimThread* thread) {
  std::unique_lock<std::mutex> lock(mutex_);
  trace_.add(now_ns_, Trace::Kind::kExits, thread->trace_name);
  thread->state = State::kExited;
  refresh(*thread);
  std::erase(live_, thread);
  t_simulator = nullptr;
  lock.unlock();
  wake_all(thread);
  lock.lock();
  SimThread* next = choose(thread);
  lock.unlock();
  give_baton(next->baton);
}

std::thread Simulator::spawn(std::string name, std::function<void()> body) {
  std::unique_lock<std::mutex> lock(mutex_);
  SimThread* thread = add_thread(std::move(name), self()->group);
  trace_.add(now_ns_, Trace::Kind::kStarts, self()->trace_name, thread->trace_name);
  std::thread os_thread([this, thread, body = std::move(body)] {
    thread_local ExitBaton exit_baton;
    exit_baton.arm(this, thread);
    begin_thread(thread);
    take_baton(thread->baton);
    body();
  });
  thread->os_id = os_thread.get_id();
  return os_thread;
}

void Simulator::join(std::thread& os_thread) {
  const SimThread* thread = nullptr;
  for (auto& candidate : threads_) {
    if (candidate->os_id == os_thread.get_id() && candidate->state != State::kExited) {
      thread = candidate.get();
    }
  }
  while (thread != nullptr && thread->state != State::kExited && !thread->group->dead) {
    wait(thread, kNoDeadline);
  }
  if (thread != nullptr && thread->state != State::kExited) {
    os_thread.detach();
  } else {
    os_thread.join();
  }
}

// ---- groups ----

GroupId Simulator::add_group(std::string name, int32_t slip_ppm) {
  auto group = std::make_unique<Group>();
  group->name = std::move(name);
  group->slip_ppm = slip_ppm;
  groups_.push_back(std::move(group));
  return static_cast<GroupId>(groups_.size() - 1);
}

GroupId Simulator::group() const {
  for (GroupId id = 0; id < groups_.size(); ++id) {
    if (groups_[id].get() == self()->group) return id;
  }
  return kWorld;
}

void Simulator::as(GroupId group, const std::function<void()>& fn) {
  Group* before = self()->group;
  self()->group = groups_[group].get();
  set_frozen(*self());
  fn();
  self()->group = before;
  set_frozen(*self());
}

// Looks at the clock, so that a stop that is over counts no more.
void Simulator::set_frozen(SimThread& thread) { thread.frozen = frozen_by_time(thread); }

void Simulator::stop(GroupId id, int64_t duration_ns) {
  std::unique_lock<std::mutex> lock(mutex_);
  Group& group = *groups_[id];
  group.until_ns = std::max(group.until_ns, now_ns_ + duration_ns);
  next_thaw_ns_ = std::min(next_thaw_ns_, group.until_ns);
  for (SimThread* thread : live_) {
    if (thread->group != &group) continue;
    set_frozen(*thread);
    refresh(*thread);
  }
}

void Simulator::stop_one_thread(GroupId id, int64_t duration_ns, SimRandom& random) {
  std::unique_lock<std::mutex> lock(mutex_);
  candidates_.clear();
  for (SimThread* thread : live_) {
    if (thread->group == groups_[id].get()) candidates_.push_back(thread);
  }
  if (candidates_.empty()) return;
  SimThread* thread = candidates_[random.below(candidates_.size())];
  thread->until_ns = std::max(thread->until_ns, now_ns_ + duration_ns);
  next_thaw_ns_ = std::min(next_thaw_ns_, thread->until_ns);
  set_frozen(*thread);
  refresh(*thread);
}

void Simulator::kill(GroupId id) {
  Group& group = *groups_[id];
  group.dead = true;
  std::vector<SimThread*> left;
  for (SimThread* thread : live_) {
    if (thread->group == &group) wake_all(thread);  // who would join it
  }
  std::unique_lock<std::mutex> lock(mutex_);
  for (SimThread* thread : live_) {
    if (thread->group != &group) {
      left.push_back(thread);
      continue;
    }
    set_frozen(*thread);
    refresh(*thread);
    if (thread->in_rcu) left.push_back(thread);
  }
  live_.swap(left);
}

int64_t Simulator::to_local(int64_t world_ns) const {
  const __int128 slip = self()->group->slip_ppm;
  if (slip == 0 || world_ns == kNoDeadline) return world_ns;
  return world_ns + static_cast<int64_t>((world_ns - kSimBoot_ns) * slip / 1'000'000) + 1;
}

int64_t Simulator::to_world(int64_t local_ns) const {
  const __int128 slip = self()->group->slip_ppm;
  if (slip == 0 || local_ns == kNoDeadline) return local_ns;
  const __int128 since_ns = local_ns - kSimBoot_ns;
  return kSimBoot_ns + static_cast<int64_t>(since_ns * 1'000'000 / (1'000'000 + slip)) + 1;
}

// ---- scheduling ----

void Simulator::refresh(SimThread& thread) {
  bool runs = thread.state == State::kRunnable && (!thread.frozen || thread.in_rcu);
  uint64_t& word = runnable_[thread.id / 64];
  uint64_t bit = uint64_t{1} << (thread.id % 64);
  if (((word & bit) != 0) == runs) return;
  word ^= bit;
  runs ? ++runnable_count_ : --runnable_count_;
}

Simulator::SimThread* Simulator::nth_runnable(uint64_t n) const {
  for (size_t at = 0;; ++at) {
    uint64_t word = runnable_[at];
    auto here = static_cast<uint64_t>(std::popcount(word));
    if (n >= here) {
      n -= here;
      continue;
    }
    while (n-- > 0) word &= word - 1;
    return threads_[at * 64 + static_cast<size_t>(std::countr_zero(word))].get();
  }
}

Simulator::SimThread* Simulator::choose(SimThread* self) {
  while (runnable_count_ == 0) jump_to_next_deadline();
  SimThread* next =
      nth_runnable(runnable_count_ == 1 ? 0 : schedule_random_.below(runnable_count_));
  if (next != self) {
    ++switches_;
    trace_.add(now_ns_, Trace::Kind::kRuns, next->trace_name);
  }
  return next;
}

void Simulator::jump_to_next_deadline() {
  int64_t next_ns = next_thaw_ns_;
  for (SimThread* thread : live_) {
    if (thread->state == State::kWaiting && !thread->frozen) {
      next_ns = std::min(next_ns, thread->deadline_ns);
    }
  }
  if (next_ns == kNoDeadline) die_of_deadlock();
  now_ns_ = std::max(now_ns_, next_ns);
  bool thaw = next_thaw_ns_ <= now_ns_;
  if (thaw) next_thaw_ns_ = kNoDeadline;
  for (SimThread* thread : live_) {
    if (thaw) {
      for (int64_t until_ns : {thread->until_ns, thread->group->until_ns}) {
        if (until_ns > now_ns_) next_thaw_ns_ = std::min(next_thaw_ns_, until_ns);
      }
      set_frozen(*thread);
    }
    if (thread->state == State::kWaiting && thread->deadline_ns <= now_ns_) {
      make_runnable(*thread, true);
    } else if (thaw) {
      refresh(*thread);
    }
  }
}

void Simulator::switch_away(std::unique_lock<std::mutex>& lock, SimThread* self) {
  self->in_rcu = reads_rcu();
  refresh(*self);
  SimThread* next = choose(self);
  lock.unlock();
  if (next == self) return;
  give_baton(next->baton);
  take_baton(self->baton);
}

void Simulator::unlink(SimThread& thread) {
  if (thread.prev_waiter != nullptr) {
    thread.prev_waiter->next_waiter = thread.next_waiter;
  } else {
    waiters_[bucket_of(thread.channel)] = thread.next_waiter;
  }
  if (thread.next_waiter != nullptr) thread.next_waiter->prev_waiter = thread.prev_waiter;
  thread.next_waiter = thread.prev_waiter = nullptr;
}

void Simulator::make_runnable(SimThread& thread, bool timed_out) {
  unlink(thread);
  thread.state = State::kRunnable;
  thread.timed_out = timed_out;
  refresh(thread);
}

bool Simulator::wait(const void* channel, int64_t deadline_ns) {
  SimThread* thread = self();
  std::unique_lock<std::mutex> lock(mutex_);
  thread->timed_out = false;
  thread->deadline_ns = to_world(deadline_ns);
  if (thread->deadline_ns <= now_ns_) {
    thread->timed_out = true;
  } else {
    thread->state = State::kWaiting;
    thread->channel = channel;
    SimThread*& head = waiters_[bucket_of(channel)];
    thread->next_waiter = head;
    if (head != nullptr) head->prev_waiter = thread;
    head = thread;
  }
  switch_away(lock, thread);
  thread->channel = nullptr;
  return !thread->timed_out;
}

void Simulator::wait_lock(const void* channel, int holder) {
  self()->holder = holder;
  (void)wait(channel, kNoDeadline);
  self()->holder = 0;
}

void Simulator::wake_all(const void* channel) {
  std::unique_lock<std::mutex> lock(mutex_);
  SimThread* next;
  for (SimThread* thread = waiters_[bucket_of(channel)]; thread != nullptr; thread = next) {
    next = thread->next_waiter;
    if (thread->channel == channel) make_runnable(*thread, false);
  }
}

// The choice must not depend on the order in which they came to the bucket, which others share.
void Simulator::wake_one(const void* channel) {
  std::unique_lock<std::mutex> lock(mutex_);
  candidates_.clear();
  for (SimThread* thread = waiters_[bucket_of(channel)]; thread != nullptr;
       thread = thread->next_waiter) {
    if (thread->channel == channel) candidates_.push_back(thread);
  }
  if (candidates_.empty()) return;
  std::sort(candidates_.begin(), candidates_.end(),
            [](const SimThread* a, const SimThread* b) { return a->id < b->id; });
  size_t count = candidates_.size();
  make_runnable(*candidates_[count == 1 ? 0 : schedule_random_.below(count)], false);
}

void Simulator::unlocked(const void* channel) {
  if (waiters_[bucket_of(channel)] != nullptr) wake_all(channel);
  maybe_yield(options_.unlock_one_in, "unlock");
}

void Simulator::yield_point(const char* where) { maybe_yield(options_.switch_one_in, where); }

void Simulator::maybe_yield(uint64_t one_in, const char* where) {
  SimThread* thread = self();
  bool must = thread->frozen && !reads_rcu();
  if (!must && (one_in == 0 || !schedule_random_.one_in(one_in))) return;
  std::unique_lock<std::mutex> lock(mutex_);
  trace_.add(now_ns_, Trace::Kind::kYields, thread->trace_name, 0, 0, where);
  switch_away(lock, thread);
}

// ---- time and chance ----

int64_t Simulator::boottime_ns() {
  if (options_.look_one_in != 0) maybe_yield(options_.look_one_in, "clock");
  now_ns_ += kTickPerLook_ns;
  return to_local(now_ns_);
}

int64_t Simulator::realtime_ns() { return kSimEpoch_ns + boottime_ns(); }

uint64_t Simulator::random_u64() { return program_random_.next(); }

}  // namespace myfs::sim
