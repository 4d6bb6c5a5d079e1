// Writeback: the list of dirty files, the thread that writes them, the limits that stop writers.
// Kernel counterpart: mm/page-writeback.c, fs/fs-writeback.c.  Differs: one thread for all mounts
// that never waits for admission (IoKind::kFlush), so one dead server stops nobody else's pages;
// a throttled writer writes its own file.
// Thread safety: all. Lock rank: kWriteback. Owns / is owned by: part of mm::Runtime; the thread
// starts with the first dirty page. Invariants: (1) a mapping with dirty or unstable pages and a
// backing store is on the list; (2) a mapping that the thread or sync works on is pinned
// (wb_users), and forget() waits for that.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "sdk/base/call_context.h"
#include "sdk/base/result.h"
#include "sdk/base/sync.h"
#include "sdk/mm/address_space.h"

namespace myfs::mm {

class Writeback {
 public:
  explicit Writeback(Runtime& runtime) : runtime_(runtime) {}
  ~Writeback();  // stops the thread

  // Something happened that lets the thread go on: credits came back, memory is short. Any thread,
  // under leaf locks outside kWriteback.
  void kick();

  // Whether a writer may go on without waiting. Starts the thread when enough is dirty.
  bool has_room(AddressSpace& mapping);
  // [balance_dirty_pages] Call without page locks: waits until has_room. ETIMEDOUT, EINTR.
  Result<void> balance_dirty_pages(const CallContext& ctx, AddressSpace& mapping);

  // Writes and commits all mappings of one file system [sync_inodes_sb]. The first error
  // met, or one before that nobody was told of.
  Result<void> sync(const CallContext& ctx, AddressSpaceOps& ops);

  void stop();  // joins the thread; nothing is written by itself any more

  // --- for AddressSpace and truncate ---
  void add(AddressSpace& mapping);     // became dirty or unstable; under its i_pages
  void forget(AddressSpace& mapping);  // before it dies; waits for whoever works on it

 private:
  void ensure_started();
  void run();
  // One turn over the files that are dirty now. Returns whether any was refused.
  bool flush_round();
  bool wants_flush_locked(const AddressSpace& mapping, bool pressure, int64_t now_ns) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void unlink_locked(AddressSpace& mapping) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void unpin(AddressSpace& mapping);

  Runtime& runtime_;
  std::atomic<bool> started_{false};
  Mutex mutex_{LockRank::kWriteback};
  CondVar wake_, idle_;
  AddressSpace* head_ ABSL_GUARDED_BY(mutex_) = nullptr;  // oldest first
  AddressSpace* tail_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool kicked_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<Thread> thread_ ABSL_GUARDED_BY(mutex_);
};

// Writes dirty pages of [first, last], neighbours together up to wsize. Returns pages submitted;
// with kFlush stops at the first refusal (EAGAIN only if nothing was submitted). `to_commit`: a
// commit comes next; a request that leaves nothing else for it is made durable by itself.
Result<size_t> write_cache_pages(const CallContext& ctx, AddressSpace& mapping, uint64_t first,
                                 uint64_t last, IoKind kind, bool to_commit = false);
// Starts a commit of what is unstable now; false if one is in flight or nothing is unstable. Errors
// of admit.
Result<bool> start_commit(const CallContext& ctx, AddressSpace& mapping, IoKind kind);

}  // namespace myfs::mm
