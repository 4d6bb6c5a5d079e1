// Readahead: which pages to fetch before they are asked for.
// Kernel counterpart: mm/readahead.c, struct file_ra_state.  Differs: requests are cut at rsize and
// need an Admission; whatever gets none is not read ahead.
// Thread safety: FileRaState: relaxed atomics, since threads may share an open file; a race costs a
// wrong guess, never wrong data. Lock rank: takes invalidate_lock shared. Owns / is owned by:
// FileRaState is part of an open file description.
// Invariants: (1) nothing beyond i_size is read; (2) a window is at most readahead_max_bytes; (3)
// random access reads what was asked for and no more.
#pragma once

#include <atomic>
#include <cstdint>

#include "sdk/base/call_context.h"
#include "sdk/base/result.h"
#include "sdk/mm/address_space.h"

namespace myfs::mm {

inline constexpr size_t kReadaheadInitial_bytes = size_t{64} << 10;

struct FileRaState {
  std::atomic<uint64_t> start{0};  // current window, in pages
  std::atomic<uint32_t> size{0};
  std::atomic<uint32_t> async_size{0};  // reaching the last async_size pages starts the next one
  std::atomic<uint64_t> prev_index{UINT64_MAX};  // last page read
  std::atomic<bool> random{false};               // POSIX_FADV_RANDOM
  std::atomic<bool> sequential{false};           // POSIX_FADV_SEQUENTIAL: doubles the windows
  std::atomic<bool> noreuse{
      false};  // POSIX_FADV_NOREUSE: what a read waited for is not kept longer
};

// The page at `index` is missing and `pages_wanted` are asked for: submits the read of these and of
// what readahead adds. The first pages are admitted as kRead. Returns the page at `index`, whose
// read may be in flight or over; null if another thread has added one meanwhile. Patience::kNone:
// null also if that could not be had without waiting.
enum class Patience : uint8_t { kWait, kNone };
Result<PageRef> page_cache_sync_ra(const CallContext& ctx, AddressSpace& mapping, FileRaState& ra,
                                   uint64_t index, size_t pages_wanted,
                                   Patience patience = Patience::kWait);
// The same for who has waited for an admission of so many pages: reads these and no more. Null: it
// could not be done without waiting, or another thread has added the page.
PageRef page_cache_read_admitted(Admission admission, AddressSpace& mapping, uint64_t index,
                                 size_t pages_wanted);
// The reader has reached a page marked kPageReadahead: submits the next window, never waits.
void page_cache_async_ra(const CallContext& ctx, AddressSpace& mapping, FileRaState& ra,
                         uint64_t index, size_t pages_wanted, Patience patience = Patience::kWait);
// POSIX_FADV_WILLNEED: starts reading [from, to) bytes as far as admission goes without waiting.
void force_page_cache_readahead(const CallContext& ctx, AddressSpace& mapping, uint64_t from,
                                uint64_t to);

}  // namespace myfs::mm
