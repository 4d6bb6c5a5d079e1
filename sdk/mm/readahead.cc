#include "sdk/mm/readahead.h"

#include <algorithm>
#include <bit>
#include <span>
#include <vector>

#include "sdk/mm/page_state.h"
#include "sdk/mm/runtime.h"
#include "sdk/mm/wait_table.h"

namespace myfs::mm {

namespace {

constexpr uint64_t kInitial_pages = kReadaheadInitial_bytes / kPageSize_bytes;

struct Window {
  uint64_t start;
  uint64_t size;        // pages
  uint64_t async_size;  // the mark lies that many pages before the end; 0: none
};

uint64_t max_pages(const AddressSpace& mapping, const FileRaState& ra) {
  uint64_t pages = mapping.ops().readahead_max_bytes() / kPageSize_bytes;
  return ra.sequential.load(std::memory_order_relaxed) ? 2 * pages : pages;
}

// [get_init_ra_size]
uint64_t initial_size(uint64_t wanted, uint64_t max) {
  uint64_t size = std::bit_ceil(std::max(wanted, kInitial_pages / 4));
  if (size <= max / 32) {
    size *= 4;
  } else if (size <= max / 4) {
    size *= 2;
  }
  return std::min(size, max);
}

// [get_next_ra_size]
uint64_t next_size(uint64_t size, uint64_t max) {
  if (size < max / 16) return 4 * size;
  return size <= max / 2 ? 2 * size : max;
}

// Takes memory for up to `count` pages; the first `must` of them wait for it.
Result<std::vector<PageRef>> take_pages(const CallContext& ctx, Runtime& runtime, uint64_t count,
                                        uint64_t must) {
  std::vector<PageRef> pages;
  pages.reserve(count);
  while (true) {
    alloc_pages_bulk_nowait(runtime, count - pages.size(), &pages);
    if (pages.size() >= must) return pages;
    Result<PageRef> page = alloc_page(ctx, runtime);
    if (!page.ok()) {
      if (pages.empty()) return page.error();
      return pages;
    }
    pages.push_back(std::move(page).value());
  }
}

// Adds the pages from `index` on, up to the first that is there already, and submits their read.
size_t submit_read_locked(Admission admission, AddressSpace& mapping, uint64_t index, uint64_t mark,
                          const std::vector<PageRef>& pages)
    ABSL_SHARED_LOCKS_REQUIRED(mapping.invalidate_lock) {
  // i_size may have shrunk since; beyond it nothing is read.
  const uint64_t size = mapping.i_size.load(std::memory_order_acquire);
  const uint64_t end = size == 0 ? 0 : (size - 1) / kPageSize_bytes + 1;
  if (index >= end) return 0;
  const size_t inside = std::min<uint64_t>(pages.size(), end - index);
  if (mark >= index && mark < index + inside) PageState::mark_readahead(*pages[mark - index]);
  const size_t count = mapping.add_run_locked(std::span(pages).first(inside), index);
  if (count == 0) return 0;
  std::vector<Page*> added;
  added.reserve(count);
  for (size_t i = 0; i < count; ++i) added.push_back(pages[i].get());
  PageState::note_reading(mapping, added.size());
  mapping.ops().read_pages(std::move(admission), mapping, added);
  return added.size();
}

size_t submit_read(Patience patience, Admission admission, AddressSpace& mapping, uint64_t index,
                   uint64_t mark, const std::vector<PageRef>& pages) {
  if (patience == Patience::kWait) {
    ReadLock lock(mapping.invalidate_lock);
    return submit_read_locked(std::move(admission), mapping, index, mark, pages);
  }
  if (!mapping.invalidate_lock.try_lock_shared()) return 0;
  size_t submitted = submit_read_locked(std::move(admission), mapping, index, mark, pages);
  mapping.invalidate_lock.unlock_shared();
  return submitted;
}

// Reads the pages of the window that are missing. The first `must` pages are waited for (memory,
// admission) unless nothing is, the others come as far as they come.
Result<PageRef> submit_window(const CallContext& ctx, AddressSpace& mapping, const Window& window,
                              uint64_t must, Patience patience = Patience::kWait) {
  const bool waits = patience == Patience::kWait;
  uint64_t size = mapping.i_size.load(std::memory_order_acquire);
  if (size == 0) return PageRef();
  const uint64_t end = std::min(window.start + window.size, (size - 1) / kPageSize_bytes + 1);
  const uint64_t mark =
      window.async_size == 0 ? UINT64_MAX : window.start + window.size - window.async_size;
  const uint64_t rsize = std::max<uint64_t>(mapping.ops().rsize_bytes() / kPageSize_bytes, 1);
  Runtime& runtime = mapping.runtime();
  PageRef first;  // the page at window.start, if it was added here
  for (uint64_t index = window.start; index < end;) {
    uint64_t run = 0;
    while (index + run < end && run < rsize && !mapping.find_get_page(index + run)) ++run;
    if (run == 0) {
      ++index;
      continue;
    }
    uint64_t must_here =
        index < window.start + must ? std::min(run, window.start + must - index) : 0;
    Result<std::vector<PageRef>> taken = take_pages(ctx, runtime, run, waits ? must_here : 0);
    if (!taken.ok()) {
      if (index == window.start) return taken.error();
      return first;
    }
    const std::vector<PageRef>& pages = *taken;
    if (pages.empty()) return first;
    IoKind kind = waits && must_here > 0 ? IoKind::kRead : IoKind::kReadahead;
    Result<Admission> admission = mapping.ops().admit(ctx, kind, pages.size() * kPageSize_bytes);
    if (!admission.ok()) {
      if (waits && index == window.start && must_here > 0) return admission.error();
      return first;
    }
    size_t submitted =
        submit_read(patience, std::move(admission).value(), mapping, index, mark, pages);
    if (!waits && submitted == 0) return first;
    runtime.stats().page_misses.add(static_cast<int64_t>(std::min<uint64_t>(must_here, submitted)));
    runtime.stats().pages_read_ahead.add(
        static_cast<int64_t>(submitted - std::min<uint64_t>(must_here, submitted)));
    if (index == window.start && submitted > 0) first = pages.front();
    index += std::max<uint64_t>(submitted, 1);
  }
  return first;
}

Window store(FileRaState& ra, const Window& window) {
  ra.start.store(window.start, std::memory_order_relaxed);
  ra.size.store(static_cast<uint32_t>(window.size), std::memory_order_relaxed);
  ra.async_size.store(static_cast<uint32_t>(window.async_size), std::memory_order_relaxed);
  return window;
}

// The window after the present one.
Window advance(FileRaState& ra, uint64_t max) {
  uint64_t size = ra.size.load(std::memory_order_relaxed);
  uint64_t start = ra.start.load(std::memory_order_relaxed) + size;
  uint64_t grown = next_size(size, max);
  return store(ra, {start, grown, grown});
}

}  // namespace

Result<PageRef> page_cache_sync_ra(const CallContext& ctx, AddressSpace& mapping, FileRaState& ra,
                                   uint64_t index, size_t pages_wanted, Patience patience) {
  const uint64_t max = max_pages(mapping, ra);
  const uint64_t wanted = std::max<uint64_t>(pages_wanted, 1);
  // A caller is answered in bites: the rest follows when the first part has been copied.
  const uint64_t now = std::min(wanted, std::max(max, kInitial_pages));
  if (max == 0 || ra.random.load(std::memory_order_relaxed)) {
    return submit_window(ctx, mapping, {index, now, 0}, now, patience);
  }
  uint64_t start = ra.start.load(std::memory_order_relaxed);
  uint64_t size = ra.size.load(std::memory_order_relaxed);
  uint64_t async_size = ra.async_size.load(std::memory_order_relaxed);
  uint64_t prev = ra.prev_index.load(std::memory_order_relaxed);
  bool continues = size != 0 && (index == start + size || index == start + size - async_size);
  if (continues && index == start + size) {
    return submit_window(ctx, mapping, advance(ra, max), now, patience);
  }
  bool sequential = index == 0 || wanted > max || (prev != UINT64_MAX && index - prev <= 1);
  if (!sequential && !continues) {
    return submit_window(ctx, mapping, {index, now, 0}, now, patience);
  }
  uint64_t first = initial_size(wanted, max);
  Window window{index, first, first > wanted ? first - wanted : first};
  return submit_window(ctx, mapping, store(ra, window), std::min(now, first), patience);
}

PageRef page_cache_read_admitted(Admission admission, AddressSpace& mapping, uint64_t index,
                                 size_t pages_wanted) {
  Runtime& runtime = mapping.runtime();
  Result<std::vector<PageRef>> pages = take_pages(uninterruptible(), runtime, pages_wanted, 0);
  if (!pages.ok() || pages->empty()) return PageRef();
  const size_t submitted =
      submit_read(Patience::kNone, std::move(admission), mapping, index, UINT64_MAX, *pages);
  runtime.stats().page_misses.add(static_cast<int64_t>(submitted));
  return submitted > 0 ? pages->front() : PageRef();
}

void page_cache_async_ra(const CallContext& ctx, AddressSpace& mapping, FileRaState& ra,
                         uint64_t index, size_t pages_wanted, Patience patience) {
  const uint64_t max = max_pages(mapping, ra);
  if (max == 0 || ra.random.load(std::memory_order_relaxed)) return;
  uint64_t start = ra.start.load(std::memory_order_relaxed);
  uint64_t size = ra.size.load(std::memory_order_relaxed);
  uint64_t async_size = ra.async_size.load(std::memory_order_relaxed);
  Window window{};
  if (size != 0 && index == start + size - async_size) {
    window = advance(ra, max);
  } else {
    // Another reader's mark, or one left from an earlier pass: go on behind what is there.
    uint64_t hole = index + 1;
    while (hole - index < max && mapping.find_get_page(hole)) ++hole;
    if (hole - index >= max) return;
    uint64_t grown = next_size(hole - index + std::max<uint64_t>(pages_wanted, 1), max);
    window = store(ra, {hole, grown, grown});
  }
  (void)submit_window(ctx, mapping, window, 0, patience);
}

void force_page_cache_readahead(const CallContext& ctx, AddressSpace& mapping, uint64_t from,
                                uint64_t to) {
  if (from >= to) return;
  uint64_t first = from / kPageSize_bytes;
  uint64_t last = (std::min(to, kFileSizeMax_bytes) - 1) / kPageSize_bytes;
  (void)submit_window(ctx, mapping, {first, last - first + 1, 0}, 0);
}

}  // namespace myfs::mm
