// Sync: the only mutexes, condition variables, events and threads of MyFS.
// Kernel counterpart: struct mutex, rw_semaphore, wait_queue, completion, kthread.  Differs: two
// backends. Normally the std/futex one; while a simulator is installed (SimHooks), every operation
// that would wait is a point at which the simulator's scheduler chooses who runs next, so that the
// same seed gives the same execution. Thread safety: all. Lock rank: given at construction, checked
// in debug builds (lock_rank.h). Invariants: (1) the backend is chosen at run time by one global
// flag that only slow paths and releases test, so there is one build; (2) under a simulator exactly
// one simulated thread runs at a time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>

#include "sdk/base/lock_rank.h"
#include "sdk/base/thread_annotations.h"

namespace myfs {

// The simulator's side of sync, clock and random. Implemented by sdk/testing; null in production.
class SimHooks {
 public:
  virtual ~SimHooks() = default;
  // Blocks the calling simulated thread until wake_all(channel), or until boottime_ns() >=
  // deadline_ns. Returns false at the deadline. INT64_MAX: none.
  virtual bool wait(const void* channel, int64_t deadline_ns) = 0;
  // Makes every thread that waits on `channel` runnable. Callable from any thread, also
  // unsimulated.
  virtual void wake_all(const void* channel) = 0;
  // A point at which another thread may be chosen; called where real threads could interleave.
  virtual void yield_point(const char* where) = 0;
  // Starts a simulated thread. join() is wait() on the channel `exited`.
  virtual std::thread spawn(std::string name, std::function<void()> body) = 0;
  virtual void join(std::thread& thread) = 0;
  virtual int64_t boottime_ns() = 0;  // of the calling thread's node
  virtual int64_t realtime_ns() = 0;
  virtual uint64_t random_u64() = 0;
  // Whether the calling thread belongs to the simulation.
  virtual bool owns_this_thread() = 0;
};

extern std::atomic<SimHooks*> g_sim_hooks;

// The simulator that owns the calling thread, or null.
inline SimHooks* sim_hooks() {
  SimHooks* hooks = g_sim_hooks.load(std::memory_order_relaxed);
  if (hooks == nullptr) [[likely]]
    return nullptr;
  return hooks->owns_this_thread() ? hooks : nullptr;
}

inline constexpr int64_t kNoDeadline = INT64_MAX;

class MYFS_CAPABILITY("mutex") Mutex {
 public:
  explicit Mutex(LockRank rank) : rank_(rank) {}
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    lock_rank_acquire(rank_, false, this);
    lock_inner();
  }
  // Second lock of one class; the call site states the order within the class.
  void lock_nested() ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    lock_rank_acquire(rank_, true, this);
    lock_inner();
  }
  bool try_lock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) {
    if (!mutex_.try_lock()) return false;
    lock_rank_acquire(rank_, true, this);
    return true;
  }
  void unlock() ABSL_UNLOCK_FUNCTION() {
    lock_rank_release(rank_, this);
    unlock_inner();
  }
  void assert_held() const ABSL_ASSERT_EXCLUSIVE_LOCK() {}

 private:
  friend class CondVar;
  void lock_inner();
  void unlock_inner();
  std::mutex mutex_;
  const LockRank rank_;
};

class MYFS_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_.lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// Readers or one writer [rw_semaphore]. Writers are not starved: glibc's writer-preferring kind.
class MYFS_CAPABILITY("shared_mutex") SharedMutex {
 public:
  explicit SharedMutex(LockRank rank);
  ~SharedMutex();
  SharedMutex(const SharedMutex&) = delete;
  SharedMutex& operator=(const SharedMutex&) = delete;

  void lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    lock_rank_acquire(rank_, false, this);
    lock_inner();
  }
  void lock_nested() ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    lock_rank_acquire(rank_, true, this);
    lock_inner();
  }
  bool try_lock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true);
  void unlock() ABSL_UNLOCK_FUNCTION();
  void lock_shared() ABSL_SHARED_LOCK_FUNCTION();
  bool try_lock_shared() ABSL_SHARED_TRYLOCK_FUNCTION(true);
  void unlock_shared() ABSL_UNLOCK_FUNCTION();
  void assert_held() const ABSL_ASSERT_EXCLUSIVE_LOCK() {}
  void assert_held_shared() const ABSL_ASSERT_SHARED_LOCK() {}

 private:
  void lock_inner();
  pthread_rwlock_t lock_;
  const LockRank rank_;
};

class MYFS_SCOPED_CAPABILITY WriteLock {
 public:
  explicit WriteLock(SharedMutex& mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_.lock();
  }
  ~WriteLock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }
  WriteLock(const WriteLock&) = delete;
  WriteLock& operator=(const WriteLock&) = delete;

 private:
  SharedMutex& mutex_;
};

class MYFS_SCOPED_CAPABILITY ReadLock {
 public:
  explicit ReadLock(SharedMutex& mutex) ABSL_SHARED_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_.lock_shared();
  }
  ~ReadLock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock_shared(); }
  ReadLock(const ReadLock&) = delete;
  ReadLock& operator=(const ReadLock&) = delete;

 private:
  SharedMutex& mutex_;
};

// Condition variable over Mutex. Waits may wake spuriously: loop over the condition.
class CondVar {
 public:
  void wait(Mutex& mutex) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    (void)wait_until(mutex, kNoDeadline);
  }
  // False when `deadline_ns` (boottime_ns scale) has passed.
  bool wait_until(Mutex& mutex, int64_t deadline_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void notify_one() { notify_all_or_one(false); }
  void notify_all() { notify_all_or_one(true); }

 private:
  void notify_all_or_one(bool all);
  std::condition_variable cv_;
};

// One-shot completion [struct completion]; reset() makes it usable again when nobody waits.
class Event {
 public:
  bool is_set() const { return state_.load(std::memory_order_acquire) == kSet; }
  void set();
  void reset() { state_.store(kClear, std::memory_order_relaxed); }
  void wait() { (void)wait_until(kNoDeadline); }
  // False when `deadline_ns` (boottime_ns scale) has passed first.
  bool wait_until(int64_t deadline_ns);

 private:
  static constexpr uint32_t kClear = 0, kWaiting = 1, kSet = 2;
  std::atomic<uint32_t> state_{kClear};
};

// A thread with a name (<= 15 bytes are shown), all signals blocked: a library's threads never run
// the host's handlers.
class Thread {
 public:
  Thread() = default;
  Thread(std::string name, std::function<void()> body);
  Thread(Thread&&) noexcept = default;
  Thread& operator=(Thread&&) noexcept = default;
  ~Thread();  // joins
  void join();
  bool joinable() const { return thread_.joinable(); }
  // Of this library in this process, started and not yet joined; for statistics.
  static int live_count();

 private:
  std::thread thread_;
};

// In a simulation: another thread may run here. Otherwise nothing.
inline void sim_yield_point(const char* where) {
  if (SimHooks* hooks = sim_hooks(); hooks != nullptr) [[unlikely]]
    hooks->yield_point(where);
}

}  // namespace myfs
