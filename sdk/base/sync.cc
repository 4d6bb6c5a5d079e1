#include "sdk/base/sync.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cassert>

#include "sdk/base/clock.h"
#include "sdk/base/sim_locks.h"

namespace myfs {

std::atomic<SimHooks*> g_sim_hooks{nullptr};
std::atomic<SimLockHooks*> g_sim_lock_hooks{nullptr};

namespace {

// Deadlines are CLOCK_BOOTTIME, waits of libc and futex are CLOCK_MONOTONIC: translated at each
// wait, and a wait is cut into slices so that a suspended machine's lost time is noticed.
constexpr int64_t kMaxSlice_ns = 1'000'000'000;

int64_t slice_ns(int64_t deadline_ns) {
  if (deadline_ns == kNoDeadline) return kMaxSlice_ns * 3600;
  int64_t left = deadline_ns - boottime_ns();
  return left <= 0 ? 0 : (left < kMaxSlice_ns ? left : kMaxSlice_ns);
}

void sim_wait_lock(SimHooks& hooks, const void* channel, int holder) {
  if (SimLockHooks* locks = g_sim_lock_hooks.load(std::memory_order_relaxed); locks != nullptr) {
    locks->wait_lock(channel, holder);
  } else {
    hooks.wait(channel, kNoDeadline);
  }
}

void sim_unlocked(SimHooks& hooks, const void* channel) {
  if (SimLockHooks* locks = g_sim_lock_hooks.load(std::memory_order_relaxed); locks != nullptr) {
    locks->unlocked(channel);
  } else {
    hooks.wake_all(channel);
  }
}

}  // namespace

void Mutex::lock_inner() {
  if (mutex_.try_lock()) [[likely]]
    return;
  SimHooks* hooks = sim_hooks();
  if (hooks == nullptr) {
    mutex_.lock();
    return;
  }
  while (!mutex_.try_lock()) sim_wait_lock(*hooks, &mutex_, mutex_.native_handle()->__data.__owner);
}

void Mutex::unlock_inner() {
  mutex_.unlock();
  if (SimHooks* hooks = sim_hooks(); hooks != nullptr) [[unlikely]]
    sim_unlocked(*hooks, &mutex_);
}

SharedMutex::SharedMutex(LockRank rank) : rank_(rank) {
  pthread_rwlockattr_t attr;
  pthread_rwlockattr_init(&attr);
  pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
  pthread_rwlock_init(&lock_, &attr);
  pthread_rwlockattr_destroy(&attr);
}

SharedMutex::~SharedMutex() { pthread_rwlock_destroy(&lock_); }

void SharedMutex::lock_inner() {
  if (pthread_rwlock_trywrlock(&lock_) == 0) return;
  SimHooks* hooks = sim_hooks();
  if (hooks == nullptr) {
    pthread_rwlock_wrlock(&lock_);
    return;
  }
  while (pthread_rwlock_trywrlock(&lock_) != 0)
    sim_wait_lock(*hooks, &lock_, lock_.__data.__cur_writer);
}

bool SharedMutex::try_lock() {
  if (pthread_rwlock_trywrlock(&lock_) != 0) return false;
  lock_rank_acquire(rank_, true, this);
  return true;
}

void SharedMutex::unlock() {
  lock_rank_release(rank_, this);
  pthread_rwlock_unlock(&lock_);
  if (SimHooks* hooks = sim_hooks(); hooks != nullptr) [[unlikely]]
    sim_unlocked(*hooks, &lock_);
}

void SharedMutex::lock_shared() {
  lock_rank_acquire(rank_, false, this);
  if (pthread_rwlock_tryrdlock(&lock_) == 0) return;
  SimHooks* hooks = sim_hooks();
  if (hooks == nullptr) {
    pthread_rwlock_rdlock(&lock_);
    return;
  }
  while (pthread_rwlock_tryrdlock(&lock_) != 0)
    sim_wait_lock(*hooks, &lock_, lock_.__data.__cur_writer);
}

bool SharedMutex::try_lock_shared() {
  if (pthread_rwlock_tryrdlock(&lock_) != 0) return false;
  lock_rank_acquire(rank_, true, this);
  return true;
}

void SharedMutex::unlock_shared() {
  lock_rank_release(rank_, this);
  pthread_rwlock_unlock(&lock_);
  if (SimHooks* hooks = sim_hooks(); hooks != nullptr) [[unlikely]]
    sim_unlocked(*hooks, &lock_);
}

bool CondVar::wait_until(Mutex& mutex, int64_t deadline_ns) {
  if (SimHooks* hooks = sim_hooks(); hooks != nullptr) [[unlikely]] {
    // One thread runs at a time, and the wake is no point of scheduling: nothing comes between the
    // unlock and the wait.
    lock_rank_release(mutex.rank_, &mutex);
    mutex.mutex_.unlock();
    hooks->wake_all(&mutex.mutex_);
    bool in_time = hooks->wait(&cv_, deadline_ns);
    lock_rank_acquire(mutex.rank_, true, &mutex);
    mutex.lock_inner();
    return in_time;
  }
  lock_rank_release(mutex.rank_, &mutex);
  std::unique_lock<std::mutex> guard(mutex.mutex_, std::adopt_lock);
  bool in_time = true;
  if (deadline_ns == kNoDeadline) {
    cv_.wait(guard);
  } else {
    int64_t slice = slice_ns(deadline_ns);
    if (slice > 0) cv_.wait_for(guard, std::chrono::nanoseconds(slice));
    in_time = boottime_ns() < deadline_ns;
  }
  guard.release();
  lock_rank_acquire(mutex.rank_, true, &mutex);
  return in_time;
}

void CondVar::notify_all_or_one(bool all) {
  if (all) {
    cv_.notify_all();
  } else {
    cv_.notify_one();
  }
  SimHooks* hooks = g_sim_hooks.load(std::memory_order_relaxed);
  if (hooks == nullptr) [[likely]]
    return;
  // Waits may wake spuriously, so waking all simulated waiters is always correct.
  SimLockHooks* locks = g_sim_lock_hooks.load(std::memory_order_relaxed);
  all || locks == nullptr ? hooks->wake_all(&cv_) : locks->wake_one(&cv_);
}

void Event::set() {
  // The waiter may destroy the event as soon as the exchange is seen: nothing of *this is read
  // afterwards, and a futex wake on an address that is gone is harmless.
  std::atomic<uint32_t>* word = &state_;
  uint32_t old = word->exchange(kSet, std::memory_order_acq_rel);
  if (old == kWaiting)
    ::syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, nullptr, nullptr, 0);
  if (SimHooks* hooks = g_sim_hooks.load(std::memory_order_relaxed); hooks != nullptr) [[unlikely]]
    hooks->wake_all(word);
}

bool Event::wait_until(int64_t deadline_ns) {
  while (true) {
    uint32_t state = state_.load(std::memory_order_acquire);
    if (state == kSet) return true;
    if (SimHooks* hooks = sim_hooks(); hooks != nullptr) [[unlikely]] {
      if (!hooks->wait(&state_, deadline_ns)) return is_set();
      continue;
    }
    int64_t slice = slice_ns(deadline_ns);
    if (slice == 0) return false;
    if (state == kClear &&
        !state_.compare_exchange_strong(state, kWaiting, std::memory_order_acq_rel)) {
      continue;
    }
    timespec timeout{slice / 1'000'000'000, slice % 1'000'000'000};
    ::syscall(SYS_futex, &state_, FUTEX_WAIT_PRIVATE, kWaiting, &timeout, nullptr, 0);
  }
}

namespace {
std::atomic<int> g_live_threads{0};

class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old_);
  }
  ~AllSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &old_, nullptr); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  sigset_t old_;
};
}  // namespace

int Thread::live_count() { return g_live_threads.load(std::memory_order_relaxed); }

Thread::Thread(std::string name, std::function<void()> body) {
  if (SimHooks* hooks = sim_hooks(); hooks != nullptr) [[unlikely]] {
    thread_ = hooks->spawn(std::move(name), std::move(body));
  } else {
    const AllSignalsBlocked blocked;  // which the new thread inherits
    thread_ = std::thread(std::move(body));
    pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
  }
  g_live_threads.fetch_add(1, std::memory_order_relaxed);
}

Thread::~Thread() {
  if (thread_.joinable()) join();
}

void Thread::join() {
  g_live_threads.fetch_sub(1, std::memory_order_relaxed);
  if (SimHooks* hooks = sim_hooks(); hooks != nullptr) [[unlikely]] {
    hooks->join(thread_);
    return;
  }
  thread_.join();
}

}  // namespace myfs
