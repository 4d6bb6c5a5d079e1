// filemap: reading, writing and syncing a file through its cached pages.
// Kernel counterpart: mm/filemap.c.  Differs: filemap_read_hit, a read that takes no lock, no
// reference and no memory; whole write()s are visible to it or not at all.
// Thread safety: all, with the locks that each function names held by the caller.
// Lock rank: filemap_read and filemap_write take ranks from kInvalidate inwards; callers hold at
// most kInodeRwsem. Owns / is owned by: no state.
// Leases: this room knows none. The file system samples its lease before the call and compares
// after it; it calls filemap_write only while it may dirty pages.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "sdk/base/call_context.h"
#include "sdk/base/result.h"
#include "sdk/mm/address_space.h"
#include "sdk/mm/iov_cursor.h"
#include "sdk/mm/readahead.h"

namespace myfs::mm {

inline constexpr int64_t kReadMiss = -1;

// Copies min(iov, i_size - pos) bytes, or returns kReadMiss and leaves garbage in iov. Lock-free,
// no allocation, no system call. No lock needed.
int64_t filemap_read_hit(AddressSpace& mapping, uint64_t pos, std::span<const iovec> iov);
int64_t filemap_read_hit(AddressSpace& mapping, uint64_t pos, void* to, size_t size_bytes);

// Reads through the cache with readahead; waits. Hold i_rwsem shared: then whole write()s are seen.
// Returns bytes, 0 at the end of the file; a partial count if an error comes later. EAGAIN: pages
// could repeatedly not be cached (lease lost): read around the cache. ETIMEDOUT, EINTR, ENOMEM, and
// what read_pages reports (EIO, ESTALE, ...).
Result<size_t> filemap_read(const CallContext& ctx, AddressSpace& mapping, FileRaState& ra,
                            uint64_t pos, std::span<const iovec> iov);

// Copies into pages, fills partly written ones first, raises i_size, marks dirty and throttles.
// Hold i_rwsem exclusive; the caller has clipped to the size limits. Returns bytes, partial if an
// error comes later.
Result<size_t> filemap_write(const CallContext& ctx, AddressSpace& mapping, uint64_t pos,
                             std::span<const iovec> iov);

// --- The same in steps, for a file system that keeps others waiting while it may dirty pages
// [generic_perform_write with fault_in_iov_iter_readable]: filemap_write_now under that right, and
// filemap_write_prepare without it each time that the former returns EAGAIN or less than asked for.
// Until the write() has ended lock-free readers are kept out by a WriteSeqHold of the caller's.

// Pages set aside for a write. One thread.
class WriteReserve {
 public:
  // Whether so many pages are likely to be had without waiting. Asks for no more than one refill:
  // what is not to be had then, the write goes on without.
  bool ready(Runtime& runtime, size_t count);
  // A page that is to be had without waiting; EAGAIN: there is none.
  Result<PageRef> take(Runtime& runtime);
  void put_back(PageRef page) { pages_.push_back(std::move(page)); }
  // Waits for memory if there was none or too little. ENOMEM, ETIMEDOUT, EINTR.
  Result<void> refill(const CallContext& ctx, Runtime& runtime);
  // For the time of a wait for others.
  void clear() { pages_.clear(); }

 private:
  std::vector<PageRef> pages_;
  size_t wanted_ = 0;
  bool lacking_ = false;
  bool refilled_ = false;
};

// Copies what it can, the first `size_bytes` of what is left of `from`; waits for nothing but
// transfers under way, with their pages locked. Returns bytes. EAGAIN: nothing without
// preparation; ETIMEDOUT, EINTR.
Result<size_t> filemap_write_now(const CallContext& ctx, AddressSpace& mapping, uint64_t pos,
                                 IovCursor& from, size_t size_bytes, WriteReserve& reserve);
// Waits for room among dirty pages, for memory, for the old content of pages that [pos, pos +
// size_bytes) covers in part. Errors as filemap_read; EAGAIN: that content could not be cached.
Result<void> filemap_write_prepare(const CallContext& ctx, AddressSpace& mapping, uint64_t pos,
                                   size_t size_bytes, WriteReserve& reserve);

// Ranges are bytes [from, to); to = UINT64_MAX: to the end. `to_commit`: filemap_commit comes next;
// what one request brings needs none then.
// Starts writing all dirty pages of the range; waits for admission, not for completion.
Result<void> filemap_fdatawrite_range(const CallContext& ctx, AddressSpace& mapping, uint64_t from,
                                      uint64_t to, IoKind kind = IoKind::kWrite,
                                      bool to_commit = false);
// Waits until no write of the range is in flight. Does not report write errors: see wb_err.
Result<void> filemap_fdatawait_range(const CallContext& ctx, AddressSpace& mapping, uint64_t from,
                                     uint64_t to);
// Both, repeated while pages become dirty again because the server asked for it.
Result<void> filemap_write_and_wait_range(const CallContext& ctx, AddressSpace& mapping,
                                          uint64_t from, uint64_t to, IoKind kind = IoKind::kWrite,
                                          bool to_commit = false);
// Makes durable what was written unstable before the call. EAGAIN: pages were made dirty again.
Result<void> filemap_commit(const CallContext& ctx, AddressSpace& mapping,
                            IoKind kind = IoKind::kWrite);
// All of it durable: write, wait, commit, again if the server lost its memory. Then reports an
// error that came since `since` (a file's f_wb_err; null: none is reported). For recalls kind =
// kRecallWrite.
Result<void> filemap_fsync(const CallContext& ctx, AddressSpace& mapping, ErrSeq::Sample* since,
                           IoKind kind = IoKind::kWrite);

}  // namespace myfs::mm
