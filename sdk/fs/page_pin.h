// Page_pin: cached pages of an open file for whoever has mapped the arena.
// Kernel counterpart: filemap_splice_read (mm/filemap.c), pin_user_pages of a mapping.
// Thread safety: all. Lock rank: i_rwsem shared while pages are read in and taken.
// Owns / is owned by: PinnedPages is its caller's; it keeps frames, not pages in their file.
// What was pinned is the file's content as a read() of that moment has it. Later writes of this
// client may show in it or not.
#pragma once

#include <cstdint>

#include "sdk/base/call_context.h"
#include "sdk/base/result.h"
#include "sdk/fs/file.h"
#include "sdk/mm/page_pin.h"

namespace myfs::fs {

struct PinnedPages {
  mm::PagePin pages;
  LeaseWord::Sample sample;  // of the lease under which they were taken
  LeaseParts held;
  uint64_t file_bytes;  // size of the file then
};

// The pages of [offset, offset + length), from a page's beginning on, at most `max`; fewer at the
// end of the file. EBADF, EISDIR, EINVAL, EAGAIN (a read would not be answered by the cache: no
// lease, O_DIRECT, a mapping that may be stored into), EIO (a lock was lost), ENOMEM; as read.
Result<PinnedPages> vfs_pin_pages(const CallContext& ctx, File& file, int64_t offset, size_t length,
                                  size_t max);
// Whether a read() would be answered by these pages now.
bool vfs_pin_holds(const File& file, const PinnedPages& pinned);

}  // namespace myfs::fs
