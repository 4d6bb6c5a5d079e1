#include "sdk/mm/truncate.h"

#include <algorithm>
#include <cassert>
#include <vector>

#include "sdk/mm/page_state.h"
#include "sdk/mm/runtime.h"
#include "sdk/mm/wait_table.h"

namespace myfs::mm {

namespace {

constexpr size_t kBatch = 64;

// Locks the page once no write of its index is in flight; false if it has left the tree.
bool lock_idle(AddressSpace& mapping, Page& page, uint64_t index) {
  while (true) {
    (void)lock_page(uninterruptible(), mapping, page);
    if (page.mapping() != &mapping || page.index() != index) break;
    if (!PageState::index_in_flight(mapping, index)) return true;
    page.unlock();
    (void)wait_on_index_writeback(uninterruptible(), mapping, index);
  }
  page.unlock();
  return false;
}

// A page that a writer has replaced keeps its mapping until its write ends; lock_idle has waited
// for that, so a page that passes is the one in the tree.
template <typename Visit>
void for_each_page(AddressSpace& mapping, uint64_t first, uint64_t last, Visit visit) {
  while (first <= last) {
    std::vector<PageRef> pages = mapping.gang_lookup(first, last, kBatch);
    for (const PageRef& page : pages) {
      uint64_t index = page->index();
      if (lock_idle(mapping, *page, index)) {
        visit(*page);
        page->unlock();
      }
      first = index + 1;
    }
    if (pages.size() < kBatch) return;
  }
}

// `error`, if any, is set before the first page goes that the server lacks: a sync that no longer
// finds the page finds the error.
size_t drop_pages(AddressSpace& mapping, uint64_t first, uint64_t last, Errno error,
                  std::vector<PageRef>* kept = nullptr) {
  size_t lost = 0;
  for_each_page(mapping, first, last, [&](Page& page) {
    if ((page.flags() & (kPageDirty | kPageUnstable)) != 0) {
      if (lost++ == 0 && !error.ok()) mapping.record_error(error);
      if (kept != nullptr) {
        page.ref();
        kept->push_back(PageRef::adopt(&page));
      }
    }
    mapping.remove_locked(page);
  });
  return lost;
}

void zero_part(AddressSpace& mapping, uint64_t index, size_t from, size_t to) {
  PageRef page = mapping.find_get_page(index);
  if (!page || !lock_idle(mapping, *page, index)) return;
  page->zero(from, to - from);
  page->unlock();
}

}  // namespace

void truncate_pagecache_range(AddressSpace& mapping, uint64_t from, uint64_t to) {
  if (from >= to) return;
  WriteSeqSection section(mapping.i_write_seq);
  constexpr uint64_t kPage = kPageSize_bytes;
  uint64_t first_whole = (from + kPage - 1) / kPage;
  uint64_t end_whole = to == UINT64_MAX ? UINT64_MAX / kPage : to / kPage;
  if (from / kPage == to / kPage && from % kPage != 0) {
    zero_part(mapping, from / kPage, from % kPage, to % kPage);
    return;
  }
  if (from % kPage != 0) zero_part(mapping, from / kPage, from % kPage, kPage);
  if (first_whole < end_whole) drop_pages(mapping, first_whole, end_whole - 1, Errno());
  if (to != UINT64_MAX && to % kPage != 0) zero_part(mapping, to / kPage, 0, to % kPage);
}

void truncate_pagecache(AddressSpace& mapping, uint64_t from) {
  truncate_pagecache_range(mapping, from, UINT64_MAX);
}

void truncate_setsize(AddressSpace& mapping, uint64_t size) {
  WriteSeqSection section(mapping.i_write_seq);
  uint64_t old = mapping.i_size.exchange(size, std::memory_order_acq_rel);
  if (size < old) truncate_pagecache(mapping, size);
}

Result<void> invalidate_pages_range(AddressSpace& mapping, uint64_t from, uint64_t to) {
  if (from >= to) return {};
  bool busy = false;
  for_each_page(mapping, from / kPageSize_bytes, (to - 1) / kPageSize_bytes,
                [&](Page& page) { busy |= !mapping.remove_clean_locked(page); });
  if (busy) return Errno(EBUSY);
  return {};
}

Result<void> invalidate_pages(AddressSpace& mapping) {
  return invalidate_pages_range(mapping, 0, UINT64_MAX);
}

size_t discard_pages(AddressSpace& mapping, std::vector<PageRef>* kept) {
  WriteSeqSection section(mapping.i_write_seq);
  size_t lost = drop_pages(mapping, 0, UINT64_MAX, Errno(EIO), kept);
  if (PageState::commit_in_flight(mapping)) {
    PageState::note_waiter(mapping, 1);
    (void)wait_for_key(uninterruptible(), mapping.ops(), &mapping,
                       [&mapping] { return !PageState::commit_in_flight(mapping); });
    PageState::note_waiter(mapping, -1);
  }
  return lost;
}

size_t truncate_inode_pages_final(AddressSpace& mapping) {
  mapping.runtime().writeback().forget(mapping);
  size_t lost = 0;
  {
    WriteLock lock(mapping.invalidate_lock);
    lost = discard_pages(mapping);
  }
  // An error that came back while the pages were dropped may have put it on the list again.
  mapping.runtime().writeback().forget(mapping);
  return lost;
}

}  // namespace myfs::mm
