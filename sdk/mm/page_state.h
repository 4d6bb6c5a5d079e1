// PageState: how a page becomes dirty, in flight, unstable and clean again; internal to mm.
// Kernel counterpart: mm/page-writeback.c (folio_mark_dirty, folio_start_writeback), fs/nfs/write.c
// (unstable pages, commit). Thread safety: all. Lock rank: i_pages (kPages), inside it the list of
// dirty files (kWriteback) and the wait table (kCall). Owns / is owned by: no state of its own.
// Invariants: those of AddressSpace (2) and (3); a completion touches its mapping only under
// i_pages, since the mapping may die as soon as its last write has ended.
#pragma once

#include <span>

#include "sdk/mm/address_space.h"

namespace myfs::mm {

class PageState {
 public:
  // For the wait table: succeeds, or leaves kPageWaiters set so that unlocking wakes.
  static bool try_lock_or_mark(Page& page) {
    return (page.set_flags(kPageLocked | kPageWaiters) & kPageLocked) == 0;
  }
  static bool unlocked_or_mark(Page& page) {
    return (page.flags() & kPageLocked) == 0 || (page.set_flags(kPageWaiters) & kPageLocked) == 0;
  }
  static void mark_readahead(Page& page) { page.set_flags(kPageReadahead); }
  // Whether this caller is the one who met the mark.
  static bool take_readahead(Page& page) {
    return (page.clear_flags(kPageReadahead) & kPageReadahead) != 0;
  }
  static void forget_use(Page& page) { page.clear_flags(kPageReferenced | kPageFresh); }

  static void note_reading(AddressSpace& mapping, size_t pages);  // before read_pages
  static void end_reads(std::span<Page* const> pages, Errno error);
  static void end_writeback(Page& page, Errno error, bool unstable);
  static void end_commit(AddressSpace& mapping, uint32_t round, Errno error);
  static void redirty_unstable(AddressSpace& mapping);

  // Claims the right to commit: the round to pass to commit_pages, or 0.
  static uint32_t begin_commit(AddressSpace& mapping);
  static bool commit_possible(AddressSpace& mapping);
  static bool commit_in_flight(AddressSpace& mapping);
  static int64_t unstable_since_ns(AddressSpace& mapping);
  static uint32_t redirtied(AddressSpace& mapping);
  static bool index_in_flight(AddressSpace& mapping, uint64_t index);
  static void note_waiter(AddressSpace& mapping, int delta) {
    mapping.waiters_.fetch_add(static_cast<uint32_t>(delta), std::memory_order_seq_cst);
  }

  enum class Commit { kDone, kWait, kStart, kAgain, kFailed };
  struct CommitView {
    uint32_t need;       // the rounds up to this must be committed
    uint32_t redirtied;  // when the wait began
  };
  static CommitView view_commit(AddressSpace& mapping);
  // What a waiter for `view` does next; kFailed fills `error`.
  static Commit check_commit(AddressSpace& mapping, const CommitView& view, Errno* error);

 private:
  static void fail_read(Page& page, Errno error);
  static void settle_written_locked(AddressSpace& mapping, Page& page, Errno error, bool unstable)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mapping.i_pages_);
  static void settle_commit_locked(AddressSpace& mapping, uint32_t round)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mapping.i_pages_);
  static void wake_locked(AddressSpace& mapping) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mapping.i_pages_);
};

}  // namespace myfs::mm
