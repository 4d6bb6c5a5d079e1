// CommitQueue: makes the shard's transactions durable, in order, as many at once as are waiting.
// Kernel counterpart: kjournald2 (fs/jbd2/commit.c).
// Thread safety: submit, stop: any thread. The report runs on the shard's loop.
// Owns / is owned by: owned by the server beside its Shard; stopped after the shard has gone idle
// and before the store goes.
// Invariants: (1) transactions are committed in the order of their seq; (2) after a failure none of
// the same generation is committed any more: what was built on the failed one cannot land without
// it; (3) strict: each group is durable when reported; relaxed: a group that holds no durable
// transaction is reported when it is applied and durable within kRelaxedSync_ns.
#pragma once

#include <deque>
#include <functional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "sdk/base/clock.h"
#include "sdk/base/sync.h"
#include "server/io_pool.h"
#include "server/store/meta_store.h"

namespace myfs::server {

inline constexpr int64_t kRelaxedSync_ns = 50 * kNsPerMs;
inline constexpr size_t kCommitGroupMax = 4096;  // transactions of one batch

struct Commit {
  Txn txn{};
  uint64_t seq = 0;         // rises by one
  uint64_t generation = 0;  // rises when the shard has heard of a failure
  bool durable = false;     // also in relaxed mode
};

class CommitQueue {
 public:
  // On the loop: everything up to `seq` is committed, or this one failed and with it everything
  // later of its generation.
  using Report = std::function<void(uint64_t seq, Errno error)>;

  virtual ~CommitQueue() = default;
  virtual void start(Report report) = 0;
  virtual void submit(Commit commit) = 0;
  // Commits what is queued, then ends. Idempotent. No report comes any more.
  virtual void stop() = 0;
};

// One thread.
class ThreadCommitQueue : public CommitQueue {
 public:
  ThreadCommitQueue(MetaStore& store, Durability mode, PostFn post)
      : store_(store), mode_(mode), post_(std::move(post)) {}
  ~ThreadCommitQueue() override { stop(); }
  void start(Report report) override;
  void submit(Commit commit) override;
  void stop() override;

 private:
  void serve();
  void commit_group(std::vector<Commit> group);

  MetaStore& store_;
  const Durability mode_;
  const PostFn post_;
  Report report_;
  Mutex mutex_{LockRank::kUnranked};
  CondVar wake_;
  std::deque<Commit> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // Of the thread alone:
  bool failed_ = false;
  uint64_t failed_generation_ = 0;
  int64_t unsynced_since_ns_ = kNoDeadline;
  Thread thread_;
};

// A test's or simulator's: commits when it is told to, and fails when it is told to. Relaxed, it
// never syncs by itself.
class ManualCommitQueue : public CommitQueue {
 public:
  explicit ManualCommitQueue(MetaStore& store, Durability mode = Durability::kDurable)
      : store_(store), mode_(mode) {}
  void start(Report report) override { report_ = std::move(report); }
  void submit(Commit commit) override { queue_.push_back(std::move(commit)); }
  void stop() override { queue_.clear(); }
  size_t waiting() const { return queue_.size(); }
  // Commits the oldest and reports it. False: there is none.
  bool step();
  // The oldest fails, and what was built on it never lands.
  void fail(Errno error);

 private:
  MetaStore& store_;
  const Durability mode_;
  Report report_;
  std::deque<Commit> queue_;
};

}  // namespace myfs::server
