// Waits: the threads that wait for locks on behalf of callers in the kernel.
// Kernel counterpart: fuse_iqueue's interrupts; lockd's nlm_blocked.
// Thread safety: all.
// Owns / is owned by: part of the Bridge; stop() ends all threads before what they use goes.
// Invariants: (1) after stop() no thread runs and none is started; (2) never more than the limit.
#pragma once

#include <myfs/myfs.h>

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <set>

namespace bridge {

inline constexpr size_t kLockWaitsMax = 4096;

class Waits {
 public:
  explicit Waits(size_t threads_max = kLockWaitsMax) : threads_max_(threads_max) {}

  // Runs `body` on a thread of its own. False: there is none to be had, or stop() was called.
  bool start(std::function<void()> body);
  // Called by `body` around its wait: stop() fires the token. False: it has been called.
  bool enter(myfs_cancel* token);
  void leave(myfs_cancel* token);
  void stop();

 private:
  const size_t threads_max_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::set<myfs_cancel*> waiting_;
  size_t threads_ = 0;
  bool stopped_ = false;
};

}  // namespace bridge
