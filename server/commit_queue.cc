#include "server/commit_queue.h"

#include <utility>

#include "sdk/base/log.h"

namespace myfs::server {

void ThreadCommitQueue::start(Report report) {
  report_ = std::move(report);
  thread_ = Thread("myfs-commit", [this] { serve(); });
}

void ThreadCommitQueue::submit(Commit commit) {
  {
    MutexLock lock(mutex_);
    queue_.push_back(std::move(commit));
  }
  wake_.notify_one();
}

void ThreadCommitQueue::stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void ThreadCommitQueue::serve() {
  for (;;) {
    std::vector<Commit> group;
    bool stopping = false;
    {
      MutexLock lock(mutex_);
      int64_t deadline_ns =
          unsynced_since_ns_ == kNoDeadline ? kNoDeadline : unsynced_since_ns_ + kRelaxedSync_ns;
      while (queue_.empty() && !stopping_) {
        if (!wake_.wait_until(mutex_, deadline_ns)) break;
      }
      while (!queue_.empty() && group.size() < kCommitGroupMax) {
        group.push_back(std::move(queue_.front()));
        queue_.pop_front();
      }
      stopping = stopping_ && group.empty();
    }
    if (!group.empty()) commit_group(std::move(group));
    bool sync_due = unsynced_since_ns_ != kNoDeadline &&
                    (stopping || boottime_ns() >= unsynced_since_ns_ + kRelaxedSync_ns);
    if (sync_due) {
      unsynced_since_ns_ = kNoDeadline;
      if (auto synced = store_.sync(); !synced.ok())
        log(LogLevel::kError, "commit: the store cannot sync: %s", synced.error().text());
    }
    if (stopping) return;
  }
}

void ThreadCommitQueue::commit_group(std::vector<Commit> group) {
  std::vector<const Txn*> txns;
  bool durable = mode_ == Durability::kDurable;
  uint64_t last_seq = 0, first_seq = 0;
  for (const Commit& commit : group) {
    if (failed_ && commit.generation <= failed_generation_) continue;
    txns.push_back(&commit.txn);
    durable |= commit.durable;
    if (first_seq == 0) first_seq = commit.seq;
    last_seq = commit.seq;
  }
  if (txns.empty()) return;
  auto result = store_.commit_batch(txns, durable ? Durability::kDurable : Durability::kRelaxed);
  if (!result.ok()) {
    log(LogLevel::kError, "commit: a batch of %d transactions failed: %s", txns.size(),
        result.error().text());
    failed_ = true;
    failed_generation_ = group.back().generation;
    last_seq = first_seq;
  } else if (durable) {
    unsynced_since_ns_ = kNoDeadline;
  } else if (unsynced_since_ns_ == kNoDeadline) {
    unsynced_since_ns_ = boottime_ns();
  }
  post_([this, last_seq, error = result.error()] { report_(last_seq, error); });
}

bool ManualCommitQueue::step() {
  if (queue_.empty()) return false;
  Commit commit = std::move(queue_.front());
  queue_.pop_front();
  const Txn* txn = &commit.txn;
  auto result = store_.commit_batch({&txn, 1}, commit.durable ? Durability::kDurable : mode_);
  if (!result.ok()) queue_.clear();
  report_(commit.seq, result.error());
  return true;
}

void ManualCommitQueue::fail(Errno error) {
  if (queue_.empty()) return;
  uint64_t seq = queue_.front().seq;
  queue_.clear();
  report_(seq, error);
}

}  // namespace myfs::server
