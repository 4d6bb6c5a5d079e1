// SimLockHooks: what a simulator may be told of locks beyond the waits for them: who holds what is
// waited for, one waiter is enough, a lock was let go of.
// Kernel counterpart: lockdep's view of a lock.
// Thread safety: all. Set together with g_sim_hooks.
// Owns / is owned by: as SimHooks.
#pragma once

#include <atomic>

namespace myfs {

class SimLockHooks {
 public:
  virtual ~SimLockHooks() = default;
  // As SimHooks::wait without a deadline, for a lock that the thread with the kernel's id `holder`
  // has; 0: it is not known who.
  virtual void wait_lock(const void* channel, int holder) = 0;
  // As SimHooks::wake_all, for one of the waiters.
  virtual void wake_one(const void* channel) = 0;
  // A lock was let go of: its waiters are runnable, and another thread may be chosen.
  virtual void unlocked(const void* channel) = 0;
};

extern std::atomic<SimLockHooks*> g_sim_lock_hooks;  // null: wait, wake_all do it all

}  // namespace myfs
