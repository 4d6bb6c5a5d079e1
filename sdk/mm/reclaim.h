// Budget: one hard limit for all the memory of a process's caches, by class, and who gives it back.
// Kernel counterpart: mm/vmscan.c (shrink_folio_list, shrinkers), memory.max of a cgroup.
// Differs: a clock hand over the arena's pages instead of LRU lists, so that neither insertion nor
// a hit takes a lock; reclaim is done by the caller who wants memory; waiting for write-back is
// bounded by the call's deadline. Thread safety: all. Lock rank: kBudget (shrinker table and
// waiters); shrinkers run without it. Owns / is owned by: part of mm::Runtime.
// Invariants: (1) used() <= limit(), and <= limit() - reserved() for whoever may not use the
// reserve; (2) ENOMEM only when nothing can be reclaimed, nothing is on its way to become so, and
// nothing has changed for 200 ms.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "sdk/base/call_context.h"
#include "sdk/base/result.h"
#include "sdk/base/sync.h"
#include "sdk/mm/page.h"

namespace myfs::mm {

class Runtime;

enum class MemClass : uint8_t {
  kPageCache = 0,  // clean pages
  kDirty,
  kInFlight,  // pages under writeback
  kUnstable,  // written, not committed
  kDentries,
  kInodes,
  kBuffers,  // RPC buffers and the like
  kArena,    // free frames that are still resident; page structs; tree nodes
  kMapped,   // what mappings show; not to be reclaimed
};
inline constexpr size_t kMemClasses = 9;
const char* mem_class_name(MemClass cls);

// A cache that can give memory back (dcache, inode cache).
class Shrinker {
 public:
  virtual ~Shrinker() = default;
  // Frees about `bytes` by uncharging the budget, without sleeping; returns what it freed, 0 if
  // nothing could be. Called with no leaf lock held, maybe under page locks.
  virtual size_t shrink(size_t bytes) = 0;
};

class Budget {
 public:
  explicit Budget(size_t limit_bytes) : limit_(limit_bytes) {}

  size_t limit() const { return limit_.load(std::memory_order_relaxed); }
  void set_limit(size_t bytes);
  size_t used() const { return used_.load(std::memory_order_relaxed); }
  size_t used(MemClass cls) const {
    int64_t value = class_[static_cast<size_t>(cls)].load(std::memory_order_relaxed);
    return value < 0 ? 0 : static_cast<size_t>(value);
  }
  size_t reserved() const { return reserved_.load(std::memory_order_relaxed); }

  enum class From : uint8_t { kNormal, kReserve };
  // False if that would exceed the limit. Never waits, never reclaims; callable under leaf locks.
  bool try_charge(MemClass cls, size_t bytes, From from = From::kNormal);
  // Reclaims and, when memory is on its way, waits until the context's deadline. ENOMEM, ETIMEDOUT,
  // EINTR. Not under leaf locks, page locks or invalidate_lock.
  Result<void> charge(const CallContext& ctx, MemClass cls, size_t bytes);
  void uncharge(MemClass cls, size_t bytes);
  void move(MemClass from, MemClass to, size_t bytes);
  // Charges for a small object that must not fail (tree nodes); may exceed the limit by that much.
  void charge_always(MemClass cls, size_t bytes);

  // Sets bytes aside for what honours recalls; unreserve() gives them back. ENOMEM.
  Result<void> reserve(size_t bytes);
  void unreserve(size_t bytes);

  // Tries to bring used() down by `bytes`: free frames, then clean pages and shrinkers in turn;
  // returns true if any progress. Never waits.
  bool make_room(size_t bytes);

  // make_room() until used() is at most `goal_bytes`, or nothing more can be had.
  void give_back_above(size_t goal_bytes);

  void register_shrinker(Shrinker* shrinker);
  // Waits until no call of it runs.
  void unregister_shrinker(Shrinker* shrinker);

  // Dirty limit, for balance_dirty_pages: dirty + in flight + unstable.
  size_t dirty_bytes() const {
    return used(MemClass::kDirty) + used(MemClass::kInFlight) + used(MemClass::kUnstable);
  }

 private:
  friend class Runtime;
  friend class Writeback;
  friend class PageState;
  friend class Arena;
  friend Result<PageRef> alloc_page(const CallContext& ctx, Runtime& runtime);
  // Whether memory is on its way back: dirty, in flight, being read.
  bool something_pending() const;
  // For a caller who found nothing to reclaim: waits for progress after `seen`, or gives up.
  Result<void> wait_or_give_up(const CallContext& ctx, int64_t seen, int* idle_rounds);
  size_t run_shrinkers(size_t bytes);
  // Waits until progress_ differs from `seen`. ETIMEDOUT, EINTR.
  Result<void> wait_for_progress(const CallContext& ctx, int64_t seen);
  int64_t progress() const { return progress_.load(std::memory_order_acquire); }
  void note_progress();

  Runtime* runtime_ = nullptr;  // set once by Runtime's constructor; null in a bare budget
  std::atomic<size_t> limit_;
  std::atomic<size_t> used_{0};
  std::atomic<size_t> reserved_{0};
  std::array<std::atomic<int64_t>, kMemClasses> class_{};
  std::atomic<int64_t> progress_{0};  // counts uncharges and pages that became reclaimable
  std::atomic<int> waiters_{0};
  std::atomic<size_t> pages_reading_{0};  // pages whose read is in flight

  Mutex mutex_{LockRank::kBudget};
  CondVar changed_;
  struct Registered {
    Shrinker* shrinker;
    int running;
  };
  std::vector<Registered> shrinkers_ ABSL_GUARDED_BY(mutex_);
  size_t next_shrinker_ ABSL_GUARDED_BY(mutex_) = 0;
};

// A page, with reclaim and waiting as Budget::charge does. ENOMEM, ETIMEDOUT, EINTR.
Result<PageRef> alloc_page(const CallContext& ctx, Runtime& runtime);
// A page if one is to be had without waiting: for readahead.
Result<PageRef> alloc_page_nowait(Runtime& runtime);
// Appends as many of `count` such pages as there are [alloc_pages_bulk].
void alloc_pages_bulk_nowait(Runtime& runtime, size_t count, std::vector<PageRef>* pages);
// Frees up to `count` clean pages that nobody used since the hand last passed; returns how many.
size_t reclaim_pages(Runtime& runtime, size_t count);

}  // namespace myfs::mm
