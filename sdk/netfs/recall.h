// RecallWorker: the threads that do what honouring a recall may have to wait for, and other work
// that the I/O loop must not do.
// Kernel counterpart: ceph's inode work (fs/ceph/inode.c: ceph_queue_inode_work),
// nfs4_state_manager.
// Differs: a pool that grows while work waits, so that recalls of different inodes do not block one
// another. Thread safety: all; post() and post_at() may be called under leaf locks and inside the
// loop. Lock rank: kSession, released while work runs. Work starts at rank kInvalidate and never
// takes i_rwsem.
// Owns / is owned by: part of a Super; stop() joins the threads.
// Invariants: (1) work that was posted runs exactly once, or never after stop(); (2) at most
// kRecallThreadsMax threads; (3) work posted while all of them are busy waits for the next free
// one.
#pragma once

#include <deque>
#include <map>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "sdk/base/sync.h"

namespace myfs::netfs {

inline constexpr size_t kRecallThreadsMax = 16;

class RecallWorker {
 public:
  using Work = absl::AnyInvocable<void()>;

  RecallWorker() = default;
  ~RecallWorker() { stop(); }
  RecallWorker(const RecallWorker&) = delete;
  RecallWorker& operator=(const RecallWorker&) = delete;

  // Work destroyed unrun (after stop) may drop references: its destructor runs on the stopping
  // thread or the caller's.
  void post(Work work);
  // Not before `at_ns` (boottime_ns scale).
  void post_at(int64_t at_ns, Work work);
  // Waits until everything that is posted and due has run; false at the deadline (boottime_ns
  // scale).
  bool drain(int64_t deadline_ns);
  void stop();

 private:
  void run();
  void grow_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_{LockRank::kSession};
  CondVar wake_, idle_changed_;
  std::deque<Work> queue_ ABSL_GUARDED_BY(mutex_);
  std::multimap<int64_t, Work> later_ ABSL_GUARDED_BY(mutex_);
  std::vector<Thread> threads_ ABSL_GUARDED_BY(mutex_);
  size_t idle_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t busy_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace myfs::netfs
