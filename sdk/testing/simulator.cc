#include "sdk/testing/simulator.h"

#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace myfs::sim {
namespace {

thread_local const Simulator* t_simulator = nullptr;
thread_local void* t_self = nullptr;

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
      program_random_(options.seed ^ 0xa11ce) {}

Simulator::~Simulator() = default;

bool Simulator::owns_this_thread() { return t_simulator == this; }

Simulator::SimThread* Simulator::add_thread(std::string name) {
  auto thread = std::make_unique<SimThread>();
  thread->id = static_cast<uint32_t>(threads_.size());
  thread->name = absl::StrCat(name, "#", thread->id);
  threads_.push_back(std::move(thread));
  return threads_.back().get();
}

void Simulator::run(const std::function<void()>& body) {
  stay_on_one_core();
  SimThread* self;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    self = add_thread("main");
    self->has_baton = true;
  }
  t_simulator = this;
  t_self = self;
  g_sim_hooks.store(this, std::memory_order_seq_cst);
  body();
  std::unique_lock<std::mutex> lock(mutex_);
  over_ = true;  // nobody gets the baton any more
  g_sim_hooks.store(nullptr, std::memory_order_seq_cst);
  t_simulator = nullptr;
  t_self = nullptr;
}

// ---- scheduling ----

Simulator::SimThread* Simulator::choose(SimThread* self) {
  while (true) {
    std::vector<SimThread*> runnable;
    for (auto& thread : threads_) {
      if (thread->state == State::kRunnable) runnable.push_back(thread.get());
    }
    if (!runnable.empty()) {
      SimThread* next = runnable[schedule_random_.below(runnable.size())];
      if (next != self) {
        ++switches_;
        trace_.add(now_ns_, next->name, "runs");
      }
      return next;
    }
    jump_to_next_deadline();
  }
}

void Simulator::jump_to_next_deadline() {
  int64_t next_ns = kNoDeadline;
  for (auto& thread : threads_) {
    if (thread->state == State::kWaiting) next_ns = std::min(next_ns, thread->deadline_ns);
  }
  if (next_ns == kNoDeadline) die_of_deadlock();
  now_ns_ = std::max(now_ns_, next_ns);
  for (auto& thread : threads_) {
    if (thread->state == State::kWaiting && thread->deadline_ns <= now_ns_) {
      thread->state = State::kRunnable;
      thread->timed_out = true;
    }
  }
}

void Simulator::die_of_deadlock() {
  std::fprintf(stderr, "simulation, seed %llu: all threads wait for ever:\n",
               static_cast<unsigned long long>(options_.seed));
  for (auto& thread : threads_) {
    if (thread->state == State::kWaiting) {
      std::fprintf(stderr, "  %s waits on %p\n", thread->name.c_str(), thread->channel);
    }
  }
  size_t shown = std::min<size_t>(trace_.lines().size(), 40);
  for (size_t i = trace_.lines().size() - shown; i < trace_.lines().size(); ++i) {
    std::fprintf(stderr, "  %s\n", trace_.lines()[i].c_str());
  }
  std::abort();
}

void Simulator::switch_away(std::unique_lock<std::mutex>& lock, SimThread* self) {
  SimThread* next = choose(self);
  if (next == self) return;
  self->has_baton = false;
  next->has_baton = true;
  next->baton.notify_one();
  if (self->state == State::kExited) return;
  self->baton.wait(lock, [&] { return self->has_baton && !over_; });
}

bool Simulator::wait(const void* channel, int64_t deadline_ns) {
  auto* self = static_cast<SimThread*>(t_self);
  std::unique_lock<std::mutex> lock(mutex_);
  self->state = State::kWaiting;
  self->channel = channel;
  self->deadline_ns = deadline_ns;
  self->timed_out = false;
  if (deadline_ns <= now_ns_) {
    self->state = State::kRunnable;
    self->timed_out = true;
  }
  switch_away(lock, self);
  self->channel = nullptr;
  return !self->timed_out;
}

void Simulator::wake_locked(const void* channel) {
  for (auto& thread : threads_) {
    if (thread->state != State::kWaiting || thread->channel != channel) continue;
    thread->state = State::kRunnable;
    thread->timed_out = false;
  }
}

void Simulator::wake_all(const void* channel) {
  std::unique_lock<std::mutex> lock(mutex_);
  wake_locked(channel);
}

void Simulator::yield_point(const char* where) {
  auto* self = static_cast<SimThread*>(t_self);
  std::unique_lock<std::mutex> lock(mutex_);
  if (!schedule_random_.one_in(options_.switch_one_in)) return;
  trace_.add(now_ns_, self->name, absl::StrCat("yields at ", where));
  switch_away(lock, self);
}

std::thread Simulator::spawn(std::string name, std::function<void()> body) {
  std::unique_lock<std::mutex> lock(mutex_);
  SimThread* thread = add_thread(std::move(name));
  trace_.add(now_ns_, static_cast<SimThread*>(t_self)->name, absl::StrCat("starts ", thread->name));
  std::thread os_thread([this, thread, body = std::move(body)] {
    t_simulator = this;
    t_self = thread;
    {
      std::unique_lock<std::mutex> inner(mutex_);
      thread->baton.wait(inner, [&] { return thread->has_baton && !over_; });
    }
    body();
    std::unique_lock<std::mutex> inner(mutex_);
    trace_.add(now_ns_, thread->name, "exits");
    thread->state = State::kExited;
    wake_locked(thread);
    switch_away(inner, thread);
    t_simulator = nullptr;
  });
  thread->os_id = os_thread.get_id();
  return os_thread;
}

void Simulator::join(std::thread& os_thread) {
  const SimThread* thread = nullptr;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    for (auto& candidate : threads_) {
      if (candidate->os_id == os_thread.get_id()) thread = candidate.get();
    }
  }
  while (thread != nullptr && thread->state != State::kExited) wait(thread, kNoDeadline);
  os_thread.join();
}

// ---- time and chance ----

int64_t Simulator::boottime_ns() {
  now_ns_ += kTickPerLook_ns;
  return now_ns_;
}

int64_t Simulator::realtime_ns() { return kSimEpoch_ns + boottime_ns(); }

uint64_t Simulator::random_u64() { return program_random_.next(); }

}  // namespace myfs::sim
