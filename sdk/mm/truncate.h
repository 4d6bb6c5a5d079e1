// Truncate: taking pages out of the cache because the file lost them or the right to them.
// Kernel counterpart: mm/truncate.c.
// Thread safety: all. Lock rank: the caller holds invalidate_lock exclusive where said; page locks
// are taken one at a time. Owns / is owned by: no state.
// All waits here are for transfers already admitted, so they end; they take no deadline.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sdk/base/result.h"
#include "sdk/mm/address_space.h"

namespace myfs::mm {

// Sets i_size and, when it shrinks, truncates the cache; the whole is one step to lock-free
// readers. Caller holds invalidate_lock exclusive. (Growing under W: a hole, nothing is read.)
void truncate_setsize(AddressSpace& mapping, uint64_t size);

// Drops all pages at or beyond `from` and zeroes the tail of the page that it cuts; waits for
// writes in flight of these pages first. Dirty content there is forgotten. Caller holds
// invalidate_lock exclusive. With a smaller i_size at the server alone (a remote truncate) use
// truncate_setsize.
void truncate_pagecache(AddressSpace& mapping, uint64_t from);
// [truncate_pagecache_range] Punch hole: bytes [from, to) read as zero or are gone from the cache.
void truncate_pagecache_range(AddressSpace& mapping, uint64_t from, uint64_t to);

// [invalidate_inode_pages2_range] Drops the clean pages of [from, to) bytes after waiting for reads
// and writes in flight there; unstable pages are kept unless committed. EBUSY: a dirty or unstable
// page remained. Caller holds invalidate_lock exclusive.
Result<void> invalidate_pages_range(AddressSpace& mapping, uint64_t from, uint64_t to);
Result<void> invalidate_pages(AddressSpace& mapping);

// Drops everything, dirty or not: the session is lost, or the inode dies. Returns the number of
// pages that the server lacked (dirty or unstable); if there are any, wb_err is EIO. `lost`: gets
// these, ascending; their bytes can be read as long as they are kept. Caller holds invalidate_lock
// exclusive.
size_t discard_pages(AddressSpace& mapping, std::vector<PageRef>* lost = nullptr);

// [truncate_inode_pages_final] Before the mapping dies: discard_pages, and the flusher forgets it.
// Takes invalidate_lock itself.
size_t truncate_inode_pages_final(AddressSpace& mapping);

}  // namespace myfs::mm
