#include "sdk/mm/filemap.h"

#include <algorithm>
#include <cassert>

#include "sdk/base/fault.h"
#include "sdk/base/rcu.h"
#include "sdk/mm/iov_cursor.h"
#include "sdk/mm/page_state.h"
#include "sdk/mm/runtime.h"
#include "sdk/mm/wait_table.h"

namespace myfs::mm {

namespace {

constexpr int kHitTries = 3;
constexpr size_t kCacheLine_bytes = 64;
// What is asked for ahead; the processor sees the pattern and goes on.
constexpr size_t kPrefetch_bytes = 8 * kCacheLine_bytes;
// How often the data of one page may be refused by the cache before the caller reads around it.
constexpr int kRefusalsMax = 2;
// How often other threads may take a page away, or add it first, before the caller gives up.
constexpr int kRacesMax = 100;
// What a write that found no memory waits for and takes along, if it can be had.
constexpr size_t kReservePages = 32;
// A server that keeps losing its memory: afterwards fsync gives up with EIO.
constexpr int kSyncRoundsMax = 16;

// Knowing that a count is at most 4096, the compiler would copy by `rep movs`, which starts slowly;
// libc knows better.
size_t unbounded(size_t bytes) {
  asm("" : "+r"(bytes));
  return bytes;
}

// Copies from one page without a reference: good if the page stayed in its place all the time.
template <typename Copy>
bool copy_from_page(const AddressSpace& mapping, uint64_t index, size_t in_page, size_t bytes,
                    Copy copy) {
  const AddressSpace::Slot* slot = mapping.slot_rcu(index);
  if (slot == nullptr) return false;
  Page* page = AddressSpace::page_of(slot->load(std::memory_order_acquire));
  if (page == nullptr) return false;
  const Arena& arena = mapping.runtime().arena();
  const std::byte* data = arena.data_of(*page) + in_page;
  for (size_t line = 0; line < std::min(bytes, kPrefetch_bytes); line += kCacheLine_bytes) {
    __builtin_prefetch(data + line);
  }
  PageState32& page_state = arena.state_of(*page);
  uint32_t state = page_state.load();
  // A readahead mark wants the slow path, which starts the next window.
  if ((state & (kPageUptodate | kPageReadahead)) != kPageUptodate) return false;
  // Still in its slot after its generation was read: at that moment it was this file's.
  if (AddressSpace::page_of(slot->load(std::memory_order_acquire)) != page) return false;
  copy(data);
  if (page_state.left_place(state)) return false;
  page_state.mark_accessed();
  return true;
}

template <typename Copy>
int64_t read_hit(AddressSpace& mapping, uint64_t pos, size_t wanted, Copy copy) {
  uint64_t seq = mapping.i_write_seq.begin();
  if (seq == WriteSeq::kBusy) return kReadMiss;
  uint64_t size = mapping.i_size.load(std::memory_order_acquire);
  if (pos >= size) return mapping.i_write_seq.changed(seq) ? kReadMiss : 0;
  wanted = std::min<uint64_t>(wanted, size - pos);
  RcuReadGuard guard;
  for (size_t done = 0; done < wanted;) {
    size_t in_page = (pos + done) % kPageSize_bytes;
    size_t bytes = std::min(wanted - done, kPageSize_bytes - in_page);
    bool copied =
        copy_from_page(mapping, (pos + done) / kPageSize_bytes, in_page, bytes,
                       [&](const std::byte* data) { copy(done, data, unbounded(bytes)); });
    if (!copied) return kReadMiss;
    done += bytes;
  }
  return mapping.i_write_seq.changed(seq) ? kReadMiss : static_cast<int64_t>(wanted);
}

// Tries again only if a writer interfered, not for pages that are not there.
template <typename Read>
int64_t hit_with_retries(AddressSpace& mapping, Read read) {
  for (int tries = 0; tries < kHitTries; ++tries) {
    uint64_t before = mapping.i_write_seq.begin();
    int64_t bytes = read();
    if (bytes != kReadMiss) {
      mapping.runtime().stats().page_hits.add();
      return bytes;
    }
    if (before != WriteSeq::kBusy && !mapping.i_write_seq.changed(before)) break;
    __builtin_ia32_pause();
  }
  return kReadMiss;
}

}  // namespace

int64_t filemap_read_hit(AddressSpace& mapping, uint64_t pos, void* to, size_t size_bytes) {
  return hit_with_retries(mapping, [&] {
    return read_hit(mapping, pos, size_bytes, [to](size_t done, const std::byte* from, size_t n) {
      racy_copy(static_cast<std::byte*>(to) + done, from, n);
    });
  });
}

int64_t filemap_read_hit(AddressSpace& mapping, uint64_t pos, std::span<const iovec> iov) {
  if (iov.size() == 1) return filemap_read_hit(mapping, pos, iov[0].iov_base, iov[0].iov_len);
  return hit_with_retries(mapping, [&] {
    IovCursor cursor(iov);
    return read_hit(
        mapping, pos, IovCursor::total(iov),
        [&cursor](size_t, const std::byte* from, size_t n) { cursor.copy_out(from, n); });
  });
}

namespace {

// The page at `index`, uptodate and referenced, read if need be; null if it could repeatedly not be
// kept in the cache.
Result<PageRef> filemap_get_page(const CallContext& ctx, AddressSpace& mapping, FileRaState& ra,
                                 uint64_t index, size_t pages_wanted) {
  int refusals = 0;
  for (int races = 0; races < kRacesMax && refusals < kRefusalsMax; ++races) {
    PageRef page = mapping.find_get_page(index);
    if (!page) {
      MYFS_ASSIGN(page, page_cache_sync_ra(ctx, mapping, ra, index, pages_wanted));
      if (!page) continue;
    }
    if (PageState::take_readahead(*page)) {
      page_cache_async_ra(ctx, mapping, ra, index, pages_wanted);
    }
    if (!page->test(kPageUptodate)) {
      MYFS_TRY(wait_on_page_locked(ctx, mapping, *page));
      Errno error = page->read_error();
      if (!error.ok() && error != Errno(EAGAIN)) return error;
      if (!error.ok()) ++refusals;
    }
    if (page->test(kPageUptodate)) return page;
  }
  return PageRef();
}

}  // namespace

namespace {

// Copies pages that are there without a reference to them; how many bytes.
size_t copy_present(AddressSpace& mapping, FileRaState& ra, uint64_t pos, size_t wanted,
                    IovCursor* cursor) {
  RcuReadGuard guard;
  size_t done = 0;
  while (done < wanted) {
    const size_t in_page = (pos + done) % kPageSize_bytes;
    const size_t bytes = std::min(wanted - done, kPageSize_bytes - in_page);
    IovCursor next = *cursor;
    if (!copy_from_page(mapping, (pos + done) / kPageSize_bytes, in_page, bytes,
                        [&](const std::byte* data) { next.copy_out(data, unbounded(bytes)); })) {
      break;
    }
    *cursor = next;
    done += bytes;
  }
  if (done > 0) {
    ra.prev_index.store((pos + done - 1) / kPageSize_bytes, std::memory_order_relaxed);
  }
  return done;
}

}  // namespace

Result<size_t> filemap_read(const CallContext& ctx, AddressSpace& mapping, FileRaState& ra,
                            uint64_t pos, std::span<const iovec> iov) {
  IovCursor cursor(iov);
  const size_t wanted = IovCursor::total(iov);
  size_t done = 0;
  Errno error;
  while (done < wanted) {
    uint64_t at = pos + done;
    uint64_t index = at / kPageSize_bytes;
    size_t pages_wanted = (wanted - done + at % kPageSize_bytes - 1) / kPageSize_bytes + 1;
    uint64_t size = mapping.i_size.load(std::memory_order_acquire);
    if (at >= size) break;
    if (!ra.noreuse.load(std::memory_order_relaxed)) {
      const size_t there = std::min<uint64_t>(wanted - done, size - at);
      if (size_t copied = copy_present(mapping, ra, at, there, &cursor); copied > 0) {
        done += copied;
        continue;
      }
    }
    Result<PageRef> page = filemap_get_page(ctx, mapping, ra, index, pages_wanted);
    if (!page.ok() || !*page) {
      error = page.ok() ? Errno(EAGAIN) : page.error();
      break;
    }
    // The size may have shrunk while the page was read.
    size = mapping.i_size.load(std::memory_order_acquire);
    if (at >= size) break;
    size_t in_page = at % kPageSize_bytes;
    size_t bytes =
        std::min({wanted - done, kPageSize_bytes - in_page, static_cast<size_t>(size - at)});
    cursor.copy_out((*page)->data() + in_page, bytes);
    if (!ra.noreuse.load(std::memory_order_relaxed)) (*page)->mark_accessed();
    ra.prev_index.store(index, std::memory_order_relaxed);
    done += bytes;
  }
  if (done == 0 && !error.ok()) return error;
  return done;
}

namespace {

// Whether a write of [from, to) within the page at `index` leaves bytes that only the server knows.
bool needs_old_content(const AddressSpace& mapping, uint64_t index, size_t from, size_t to) {
  uint64_t start = index * kPageSize_bytes;
  uint64_t size = mapping.i_size.load(std::memory_order_acquire);
  if (start >= size) return false;
  return from > 0 || start + to < std::min(size, start + kPageSize_bytes);
}

// Brings the page's content in, without a page lock held.
Result<void> fill_page(const CallContext& ctx, AddressSpace& mapping, uint64_t index) {
  FileRaState single;
  single.random.store(true, std::memory_order_relaxed);
  MYFS_ASSIGN(PageRef page, filemap_get_page(ctx, mapping, single, index, 1));
  if (!page) return Errno(EAGAIN);
  return {};
}

// Whether it is to be written in part and its old content is not there.
bool lacks_old_content(const AddressSpace& mapping, uint64_t index, uint64_t pos, uint64_t end) {
  const uint64_t start = index * kPageSize_bytes;
  const size_t from = pos > start ? pos - start : 0;
  const size_t to = std::min<uint64_t>(kPageSize_bytes, end - start);
  return needs_old_content(mapping, index, from, to) && !mapping.find_get_page(index);
}

// The page at `index`, locked, whose content outside [from, to) is right and which no write in
// flight uses. Memory is taken before the lock. EAGAIN: there is none, or no old content.
Result<PageRef> write_begin(const CallContext& ctx, AddressSpace& mapping, uint64_t index,
                            size_t from, size_t to, WriteReserve& reserve) {
  PageRef spare;
  for (int races = 0; races <= kRacesMax;) {
    MYFS_ASSIGN(PageRef page, mapping.find_lock_page(ctx, index));
    bool in_flight = page && page->test(kPageWriteback);
    if (page && !in_flight) {
      if (spare) reserve.put_back(std::move(spare));
      return page;
    }
    if (!page && needs_old_content(mapping, index, from, to)) break;
    if (!spare) {
      if (page) page->unlock();
      MYFS_ASSIGN(spare, reserve.take(mapping.runtime()));
      continue;
    }
    ++races;
    if (page) {
      if (to - from < kPageSize_bytes) spare->fill(0, page->data(), kPageSize_bytes);
      bool replaced = mapping.replace_locked(*page, *spare);
      page->unlock();
      if (!replaced) continue;
    } else {
      if (from > 0) spare->zero(0, from);
      if (to < kPageSize_bytes) spare->zero(to, kPageSize_bytes - to);
      if (!mapping.add_locked(*spare, index)) continue;
    }
    lock_rank_acquire(LockRank::kPage, true, spare.get());
    return spare;
  }
  if (spare) reserve.put_back(std::move(spare));
  return Errno(EAGAIN);
}

// Where a lost page goes.
std::byte* nowhere() {
  thread_local std::byte page[kPageSize_bytes];
  return page;
}

void raise_size(AddressSpace& mapping, uint64_t size) {
  uint64_t old = mapping.i_size.load(std::memory_order_relaxed);
  while (old < size &&
         !mapping.i_size.compare_exchange_weak(old, size, std::memory_order_acq_rel)) {
  }
}

}  // namespace

Result<PageRef> WriteReserve::take(Runtime& runtime) {
  if (!pages_.empty()) {
    PageRef page = std::move(pages_.back());
    pages_.pop_back();
    return page;
  }
  Result<PageRef> page = alloc_page_nowait(runtime);
  if (page.ok()) return page;
  lacking_ = true;
  return Errno(EAGAIN);
}

bool WriteReserve::ready(Runtime& runtime, size_t count) {
  if (refilled_ || pages_.size() >= count) return true;
  const Budget& budget = runtime.budget();
  const size_t missing = count - pages_.size(), free = runtime.arena().frames_free();
  if (missing <= free) return true;
  if (budget.used() + (missing - free) * kPageSize_bytes <= budget.limit()) return true;
  wanted_ = count;
  lacking_ = true;
  return false;
}

Result<void> WriteReserve::refill(const CallContext& ctx, Runtime& runtime) {
  if (!std::exchange(lacking_, false)) return {};
  refilled_ = true;
  MYFS_ASSIGN(PageRef first, alloc_page(ctx, runtime));
  pages_.push_back(std::move(first));
  while (pages_.size() < std::max(wanted_, kReservePages)) {
    Result<PageRef> page = alloc_page_nowait(runtime);
    if (!page.ok()) break;
    pages_.push_back(std::move(page).value());
  }
  return {};
}

Result<size_t> filemap_write_now(const CallContext& ctx, AddressSpace& mapping, uint64_t pos,
                                 IovCursor& from, size_t size_bytes, WriteReserve& reserve) {
  assert(size_bytes != 0 && pos + size_bytes <= kFileSizeMax_bytes);
  Writeback& writeback = mapping.runtime().writeback();
  if (!writeback.has_room(mapping)) return Errno(EAGAIN);
  // So that what others see of it is a whole piece.
  const size_t piece_bytes = std::min(size_bytes, kDefaultIo_bytes);
  const size_t pages = (pos % kPageSize_bytes + piece_bytes - 1) / kPageSize_bytes + 1;
  if (!reserve.ready(mapping.runtime(), pages)) return Errno(EAGAIN);
  // Asked at once, so that what lock-free readers wait for are copies alone.
  const uint64_t end = pos + size_bytes, last = (end - 1) / kPageSize_bytes;
  for (uint64_t index : {pos / kPageSize_bytes, last}) {
    if (lacks_old_content(mapping, index, pos, end)) return Errno(EAGAIN);
  }
  size_t done = 0;
  Errno error;
  while (done < size_bytes) {
    uint64_t index = (pos + done) / kPageSize_bytes;
    size_t start = (pos + done) % kPageSize_bytes;
    size_t bytes = std::min(size_bytes - done, kPageSize_bytes - start);
    Result<PageRef> page = write_begin(ctx, mapping, index, start, start + bytes, reserve);
    if (!page.ok()) {
      error = page.error();
      break;
    }
    std::byte* const to = (*page)->data() + start;
    from.copy_in(MYFS_FAULTY(kLosePage, 1000) ? nowhere() : to, bytes);
    mapping.set_page_uptodate(**page);
    done += bytes;
    raise_size(mapping, pos + done);  // before it is dirty: write-back ends at i_size
    mapping.set_page_dirty(**page);
    (*page)->mark_accessed();
    (*page)->unlock();
    if (done % kDefaultIo_bytes < bytes && done < size_bytes && !writeback.has_room(mapping)) break;
  }
  if (done == 0) return error;
  return done;
}

Result<void> filemap_write_prepare(const CallContext& ctx, AddressSpace& mapping, uint64_t pos,
                                   size_t size_bytes, WriteReserve& reserve) {
  MYFS_TRY(mapping.runtime().writeback().balance_dirty_pages(ctx, mapping));
  MYFS_TRY(reserve.refill(ctx, mapping.runtime()));
  const uint64_t end = pos + size_bytes, last = (end - 1) / kPageSize_bytes;
  for (uint64_t index : {pos / kPageSize_bytes, last}) {
    if (lacks_old_content(mapping, index, pos, end)) MYFS_TRY(fill_page(ctx, mapping, index));
  }
  return {};
}

Result<size_t> filemap_write(const CallContext& ctx, AddressSpace& mapping, uint64_t pos,
                             std::span<const iovec> iov) {
  const size_t wanted = IovCursor::total(iov);
  IovCursor from(iov);
  WriteReserve reserve;
  WriteSeqHold hidden(mapping.i_write_seq);
  size_t done = 0;
  for (int idle = 0; done < wanted; ++idle) {
    hidden.begin();
    Result<size_t> copied =
        filemap_write_now(ctx, mapping, pos + done, from, wanted - done, reserve);
    Errno error = copied.error();
    if (copied.ok()) {
      done += *copied;
      idle = 0;
      if (done == wanted) break;
    }
    if (copied.ok() || (error == Errno(EAGAIN) && idle < kRacesMax)) {
      if (done == 0) hidden.end();
      error = filemap_write_prepare(ctx, mapping, pos + done, wanted - done, reserve).error();
    }
    if (error.ok()) continue;
    if (done == 0) return error;
    break;
  }
  return done;
}

Result<void> filemap_fdatawrite_range(const CallContext& ctx, AddressSpace& mapping, uint64_t from,
                                      uint64_t to, IoKind kind, bool to_commit) {
  if (from >= to || !mapping.ops().writes_back()) return {};
  MYFS_TRY(write_cache_pages(ctx, mapping, from / kPageSize_bytes, (to - 1) / kPageSize_bytes, kind,
                             to_commit));
  return {};
}

Result<void> filemap_fdatawait_range(const CallContext& ctx, AddressSpace& mapping, uint64_t from,
                                     uint64_t to) {
  if (from >= to) return {};
  const uint64_t last = (to - 1) / kPageSize_bytes;
  uint64_t index = from / kPageSize_bytes;
  while ((index = mapping.next_tagged(PageTag::kWriteback, index)) <= last && index != UINT64_MAX) {
    MYFS_TRY(wait_on_index_writeback(ctx, mapping, index));
    ++index;
  }
  return {};
}

Result<void> filemap_write_and_wait_range(const CallContext& ctx, AddressSpace& mapping,
                                          uint64_t from, uint64_t to, IoKind kind, bool to_commit) {
  for (int round = 0; round < kSyncRoundsMax; ++round) {
    uint32_t before = PageState::redirtied(mapping);
    MYFS_TRY(filemap_fdatawrite_range(ctx, mapping, from, to, kind, to_commit));
    MYFS_TRY(filemap_fdatawait_range(ctx, mapping, from, to));
    if (PageState::redirtied(mapping) == before) return {};
  }
  return Errno(EIO);
}

Result<void> filemap_commit(const CallContext& ctx, AddressSpace& mapping, IoKind kind) {
  const PageState::CommitView view = PageState::view_commit(mapping);
  while (true) {
    Errno error;
    switch (PageState::check_commit(mapping, view, &error)) {
      case PageState::Commit::kDone:
        return {};
      case PageState::Commit::kAgain:
        return Errno(EAGAIN);
      case PageState::Commit::kFailed:
        return error;
      case PageState::Commit::kStart:
        MYFS_TRY(start_commit(ctx, mapping, kind));
        break;
      case PageState::Commit::kWait: {
        PageState::note_waiter(mapping, 1);
        Result<void> waited = wait_for_key(ctx, mapping.ops(), &mapping, [&] {
          return PageState::check_commit(mapping, view, &error) != PageState::Commit::kWait;
        });
        PageState::note_waiter(mapping, -1);
        MYFS_TRY(waited);
        break;
      }
    }
  }
}

Result<void> filemap_fsync(const CallContext& ctx, AddressSpace& mapping, ErrSeq::Sample* since,
                           IoKind kind) {
  Result<void> synced = Errno(EAGAIN);
  for (int round = 0; round < kSyncRoundsMax && synced.error() == Errno(EAGAIN); ++round) {
    MYFS_TRY(filemap_write_and_wait_range(ctx, mapping, 0, UINT64_MAX, kind, true));
    synced = filemap_commit(ctx, mapping, kind);
  }
  if (synced.error() == Errno(EAGAIN)) return Errno(EIO);
  if (since == nullptr) return synced;
  // A failed commit is in wb_err, too, and counts once.
  Errno recorded = mapping.wb_err.check_and_advance(since);
  return recorded.ok() ? synced : Result<void>(recorded);
}

}  // namespace myfs::mm
