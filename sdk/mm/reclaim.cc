#include "sdk/mm/reclaim.h"

#include <algorithm>

#include "sdk/base/clock.h"
#include "sdk/mm/page_state.h"
#include "sdk/mm/runtime.h"

namespace myfs::mm {

namespace {
constexpr size_t kReclaimBatch = 32;  // SWAP_CLUSTER_MAX
}  // namespace

class PageReclaim {
 public:
  // Frees the page if it is clean, idle and was not used since the hand last passed.
  static bool try_free(Page& page) {
    uint32_t flags = page.flags();
    constexpr uint32_t kKeep = kPageDirty | kPageWriteback | kPageUnstable | kPageLocked;
    if ((flags & kKeep) != 0 || (flags & kPageUptodate) == 0) return false;
    if ((flags & (kPageReferenced | kPageFresh)) != 0) {
      page.clear_flags(kPageReferenced | kPageFresh);
      return false;
    }
    // The tree's reference alone: a pinned page would not free its frame.
    if (page.ref_count() != 1 || !page.try_ref()) return false;
    bool freed = false;
    if (page.try_lock()) {
      // The page lock keeps the mapping alive: it cannot be emptied meanwhile.
      AddressSpace* mapping = page.mapping();
      freed = mapping != nullptr && page.test(kPageUptodate) && mapping->remove_clean_locked(page);
      page.unlock();
    }
    page.unref();
    return freed;
  }
};

size_t reclaim_pages(Runtime& runtime, size_t count) {
  Arena& arena = runtime.arena();
  size_t touched = arena.frames_touched();
  if (touched == 0) return 0;
  size_t freed = 0;
  // Two turns: the first may only clear marks.
  for (size_t scanned = 0; scanned < 2 * touched && freed < count; ++scanned) {
    size_t frame = runtime.clock_hand_.fetch_add(1, std::memory_order_relaxed) % touched;
    if (PageReclaim::try_free(arena.page(frame))) ++freed;
  }
  runtime.stats().pages_reclaimed.add(static_cast<int64_t>(freed));
  return freed;
}

Result<PageRef> alloc_page_nowait(Runtime& runtime) {
  Result<PageRef> page = runtime.arena().try_alloc();
  if (page.ok()) return page;
  if (reclaim_pages(runtime, kReclaimBatch) == 0) return Errno(ENOMEM);
  return runtime.arena().try_alloc();
}

void alloc_pages_bulk_nowait(Runtime& runtime, size_t count, std::vector<PageRef>* pages) {
  while (true) {
    count -= runtime.arena().try_alloc_bulk(count, pages);
    if (count == 0 || reclaim_pages(runtime, std::max(count, kReclaimBatch)) == 0) return;
  }
}

Result<PageRef> alloc_page(const CallContext& ctx, Runtime& runtime) {
  Budget& budget = runtime.budget();
  for (int idle_rounds = 0;;) {
    int64_t seen = budget.progress();
    Result<PageRef> page = runtime.arena().try_alloc();
    if (page.ok()) return page;
    if (reclaim_pages(runtime, kReclaimBatch) != 0) continue;
    if (budget.run_shrinkers(kReclaimBatch * kPageSize_bytes) != 0) continue;
    page = runtime.arena().try_alloc();
    if (page.ok()) return page;
    MYFS_TRY(budget.wait_or_give_up(ctx, seen, &idle_rounds));
  }
}

}  // namespace myfs::mm
