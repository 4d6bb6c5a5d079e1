#include "sdk/mm/page_state.h"

#include <cassert>

#include "sdk/base/clock.h"
#include "sdk/mm/runtime.h"
#include "sdk/mm/wait_table.h"

namespace myfs::mm {

namespace {

MemClass class_of(uint32_t flags) {
  if ((flags & kPageWriteback) != 0) return MemClass::kInFlight;
  if ((flags & kPageDirty) != 0) return MemClass::kDirty;
  if ((flags & kPageUnstable) != 0) return MemClass::kUnstable;
  return MemClass::kPageCache;
}

// Rounds wrap around.
bool not_after(uint32_t round, uint32_t limit) { return static_cast<int32_t>(round - limit) <= 0; }

}  // namespace

// --- AddressSpace: changes of dirty, writeback, unstable ---

void AddressSpace::account_locked(Page& page) {
  MemClass now = class_of(page.flags());
  auto before = static_cast<MemClass>(page.charged_as_);
  if (now == before) return;
  runtime_.budget().move(before, now, kPageSize_bytes);
  page.charged_as_ = static_cast<uint8_t>(now);
}

void AddressSpace::dirty_locked(Page& page) {
  if (page.test(kPageDirty)) return;
  unstable_to_clean_locked(page);
  page.set_flags(kPageDirty);
  tag_locked(page.index(), PageTag::kDirty);
  size_t before = add_tagged(PageTag::kDirty);
  account_locked(page);
  if (before == 0 && ops_.writes_back()) runtime_.writeback().add(*this);
}

void AddressSpace::undirty_locked(Page& page) {
  if (!page.test(kPageDirty)) return;
  page.clear_flags(kPageDirty);
  untag_locked(page.index(), PageTag::kDirty);
  sub_tagged(PageTag::kDirty);
  account_locked(page);
}

void AddressSpace::unstable_to_clean_locked(Page& page) {
  if (!page.test(kPageUnstable)) return;
  page.clear_flags(kPageUnstable);
  untag_locked(page.index(), PageTag::kUnstable);
  sub_tagged(PageTag::kUnstable);
  account_locked(page);
}

void AddressSpace::set_page_uptodate(Page& page) { page.set_flags(kPageUptodate); }

void AddressSpace::set_page_dirty(Page& page) {
  MutexLock lock(i_pages_);
  assert(slot_locked(page.index()) == &page && !page.test(kPageWriteback));
  // The smallest size since the page was first dirtied counts, so an older generation stays.
  if ((page.flags() & (kPageDirty | kPageUnstable)) == 0)
    page.trunc_gen_ = trunc_gen.load(std::memory_order_acquire);
  dirty_locked(page);
}

bool AddressSpace::set_page_writeback(Page& page) {
  MutexLock lock(i_pages_);
  if (!page.test(kPageDirty) || slot_locked(page.index()) != &page ||
      tagged_locked(page.index(), PageTag::kWriteback)) {
    return false;
  }
  page.ref();  // the write's, dropped by end_page_writeback
  page.set_flags(kPageWriteback);
  tag_locked(page.index(), PageTag::kWriteback);
  add_tagged(PageTag::kWriteback);
  undirty_locked(page);
  account_locked(page);
  return true;
}

// --- Completions ---

void PageState::fail_read(Page& page, Errno error) {
  page.ref();
  page.aux_.store(static_cast<uint32_t>(error.value()), std::memory_order_relaxed);
  page.set_flags(kPageError);
  page.mapping()->remove_locked(page);
  page.unlock_handed_over();
  page.unref();
}

void PageState::end_reads(std::span<Page* const> pages, Errno error) {
  if (pages.empty()) return;
  Budget& budget = pages.front()->mapping()->runtime().budget();
  budget.pages_reading_.fetch_sub(pages.size(), std::memory_order_relaxed);
  // From the last to the first: a reader who follows would take each cache line of flags away.
  for (size_t i = pages.size(); i-- > 0;) {
    Page& page = *pages[i];
    assert(page.test(kPageLocked));
    if (!error.ok()) {
      fail_read(page, error);
      continue;
    }
    page.set_flags(kPageUptodate | kPageFresh);
    page.unlock_handed_over();
  }
  if (error.ok()) budget.note_progress();
}

void PageState::settle_written_locked(AddressSpace& mapping, Page& page, Errno error,
                                      bool unstable) {
  if (error == Errno(EAGAIN)) {
    mapping.dirty_locked(page);  // keeps its trunc_gen
    ++mapping.redirtied_;
  } else if (error.ok() && unstable) {
    page.aux_.store(mapping.commit_round_, std::memory_order_relaxed);
    page.set_flags(kPageUnstable);
    mapping.tag_locked(page.index(), PageTag::kUnstable);
    size_t before = mapping.add_tagged(PageTag::kUnstable);
    if (before == 0) {
      mapping.unstable_since_ns_ = boottime_ns();
      mapping.runtime_.writeback().add(mapping);
    }
  }
  mapping.account_locked(page);
}

void PageState::end_writeback(Page& page, Errno error, bool unstable) {
  AddressSpace& mapping = *page.mapping();
  Runtime& runtime = mapping.runtime();
  {
    MutexLock lock(mapping.i_pages_);
    assert(page.test(kPageWriteback));
    uint64_t index = page.index();
    bool attached = mapping.slot_locked(index) == &page;
    if (!error.ok() && error != Errno(EAGAIN)) mapping.record_error(error);
    page.clear_flags(kPageWriteback);
    mapping.untag_locked(index, PageTag::kWriteback);
    mapping.sub_tagged(PageTag::kWriteback);
    if (attached) {
      settle_written_locked(mapping, page, error, unstable);
    } else {
      // A copy took its place and is dirty: what this write failed to bring, that one brings.
      page.mapping_.store(nullptr, std::memory_order_release);
      mapping.account_locked(page);
    }
    wake_locked(mapping);
  }
  page.unref();
  runtime.budget().note_progress();
}

void PageState::wake_locked(AddressSpace& mapping) {
  if (mapping.waiters_.load(std::memory_order_seq_cst) != 0) wake_waiters(&mapping);
}

void PageState::settle_commit_locked(AddressSpace& mapping, uint32_t round) {
  constexpr int kTag = static_cast<int>(PageTag::kUnstable);
  for (uint64_t index = mapping.next_locked(kTag, 0); index != UINT64_MAX;
       index = mapping.next_locked(kTag, index + 1)) {
    Page* page = mapping.slot_locked(index);
    if (not_after(page->aux_.load(std::memory_order_relaxed), round)) {
      mapping.unstable_to_clean_locked(*page);
    }
  }
}

void PageState::end_commit(AddressSpace& mapping, uint32_t round, Errno error) {
  Runtime& runtime = mapping.runtime();
  {
    MutexLock lock(mapping.i_pages_);
    assert(mapping.commit_in_flight_ == round);
    mapping.commit_in_flight_ = 0;
    mapping.commit_error_ = error;
    mapping.commit_done_ = round;
    if (error == Errno(EAGAIN)) {
      ++mapping.redirtied_;
    } else {
      if (!error.ok()) mapping.record_error(error);
      settle_commit_locked(mapping, round);
    }
    mapping.unstable_since_ns_ = boottime_ns();
    wake_locked(mapping);
  }
  runtime.budget().note_progress();
}

void PageState::redirty_unstable(AddressSpace& mapping) {
  MutexLock lock(mapping.i_pages_);
  constexpr int kTag = static_cast<int>(PageTag::kUnstable);
  for (uint64_t index = mapping.next_locked(kTag, 0); index != UINT64_MAX;
       index = mapping.next_locked(kTag, index + 1)) {
    mapping.dirty_locked(*mapping.slot_locked(index));
  }
  ++mapping.redirtied_;
  wake_locked(mapping);
}

// --- Commit rounds ---

uint32_t PageState::begin_commit(AddressSpace& mapping) {
  MutexLock lock(mapping.i_pages_);
  if (mapping.commit_in_flight_ != 0 || mapping.nr_tagged(PageTag::kUnstable) == 0) return 0;
  uint32_t round = mapping.commit_round_++;
  if (mapping.commit_round_ == 0) mapping.commit_round_ = 1;
  mapping.commit_in_flight_ = round;
  return round;
}

bool PageState::commit_possible(AddressSpace& mapping) {
  MutexLock lock(mapping.i_pages_);
  return mapping.commit_in_flight_ == 0 && mapping.nr_tagged(PageTag::kUnstable) != 0;
}

bool PageState::commit_in_flight(AddressSpace& mapping) {
  MutexLock lock(mapping.i_pages_);
  return mapping.commit_in_flight_ != 0;
}

void PageState::note_reading(AddressSpace& mapping, size_t pages) {
  mapping.runtime().budget().pages_reading_.fetch_add(pages, std::memory_order_relaxed);
}

int64_t PageState::unstable_since_ns(AddressSpace& mapping) {
  MutexLock lock(mapping.i_pages_);
  return mapping.unstable_since_ns_;
}

uint32_t PageState::redirtied(AddressSpace& mapping) {
  MutexLock lock(mapping.i_pages_);
  return mapping.redirtied_;
}

bool PageState::index_in_flight(AddressSpace& mapping, uint64_t index) {
  MutexLock lock(mapping.i_pages_);
  return mapping.tagged_locked(index, PageTag::kWriteback);
}

PageState::CommitView PageState::view_commit(AddressSpace& mapping) {
  MutexLock lock(mapping.i_pages_);
  return {mapping.commit_round_, mapping.redirtied_};
}

PageState::Commit PageState::check_commit(AddressSpace& mapping, const CommitView& view,
                                          Errno* error) {
  MutexLock lock(mapping.i_pages_);
  if (mapping.redirtied_ != view.redirtied) return Commit::kAgain;
  // commit_done_ is 0 before the first commit and then reads as "before every round".
  if (mapping.commit_done_ != 0 && not_after(view.need, mapping.commit_done_)) {
    *error = mapping.commit_error_;
    return mapping.commit_error_.ok() ? Commit::kDone : Commit::kFailed;
  }
  if (mapping.commit_in_flight_ != 0) return Commit::kWait;
  return mapping.nr_tagged(PageTag::kUnstable) == 0 ? Commit::kDone : Commit::kStart;
}

void end_page_reads(std::span<Page* const> pages, Errno error) {
  PageState::end_reads(pages, error);
}

void end_page_writeback(Page& page, Errno error, bool unstable) {
  PageState::end_writeback(page, error, unstable);
}

void end_commit(AddressSpace& mapping, uint32_t round, Errno error) {
  PageState::end_commit(mapping, round, error);
}

void redirty_unstable(AddressSpace& mapping) { PageState::redirty_unstable(mapping); }

Result<void> wait_on_index_writeback(const CallContext& ctx, AddressSpace& mapping,
                                     uint64_t index) {
  if (!PageState::index_in_flight(mapping, index)) return {};
  PageState::note_waiter(mapping, 1);
  Result<void> waited = wait_for_key(ctx, mapping.ops(), &mapping, [&mapping, index] {
    return !PageState::index_in_flight(mapping, index);
  });
  PageState::note_waiter(mapping, -1);
  return waited;
}

}  // namespace myfs::mm
