#include "sdk/mm/page.h"

#include <array>
#include <cassert>

#include "sdk/base/lock_rank.h"
#include "sdk/mm/arena.h"
#include "sdk/mm/wait_table.h"

namespace myfs::mm {

namespace {
alignas(64) constexpr std::array<std::byte, kPageSize_bytes> kZeroes{};
}  // namespace

void Page::zero(size_t offset_bytes, size_t size_bytes) {
  assert(offset_bytes + size_bytes <= kPageSize_bytes);
  racy_copy(data_ + offset_bytes, kZeroes.data(), size_bytes);
}

bool Page::try_ref() {
  uint32_t old = count_.load(std::memory_order_relaxed);
  while (old != 0) {
    if (count_.compare_exchange_weak(old, old + 1, std::memory_order_acquire,
                                     std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

void Page::unref() {
  if (count_.fetch_sub(1, std::memory_order_acq_rel) == 1) arena_->free_page(*this);
}

bool Page::try_lock() {
  if ((set_flags(kPageLocked) & kPageLocked) != 0) return false;
  lock_rank_acquire(LockRank::kPage, true, this);
  return true;
}

void Page::unlock() {
  lock_rank_release(LockRank::kPage, this);
  unlock_handed_over();
}

void Page::unlock_handed_over() {
  uint32_t old = clear_flags(kPageLocked | kPageWaiters);
  assert((old & kPageLocked) != 0);
  if ((old & kPageWaiters) != 0) wake_waiters(this);
}

void PageState32::mark_accessed_slow(uint32_t now) {
  // The first use of a page that was just read does not count: a file read once leaves first.
  if ((now & kPageFresh) != 0) {
    word_.fetch_and(~uint32_t{kPageFresh}, std::memory_order_relaxed);
  } else {
    word_.fetch_or(kPageReferenced, std::memory_order_relaxed);
  }
}

void Page::bump_generation() {
  // Who sees it finds another page in the place, or none.
  state_->word_.fetch_add(kPageFlags + 1, std::memory_order_release);
  // Later writes into the frame must not be seen before the new generation.
  std::atomic_thread_fence(std::memory_order_release);
}

}  // namespace myfs::mm
