// WaitTable: where threads sleep for a page lock, for writes in flight of a file, for its commit.
// Kernel counterpart: folio_wait_table, struct wait_page_queue.  Differs: each waiter
// has an Event of its own, so that the file system can drive its I/O loop until it is set.
// Thread safety: all. Lock rank: buckets kCall; the wake-up runs under it and only sets Events.
// Owns / is owned by: process-wide; waiters live on their threads' stacks.
// Invariants: (1) a waiter queues itself before it looks at the condition, so no wake-up is lost.
#pragma once

#include <functional>

#include "sdk/base/call_context.h"
#include "sdk/base/result.h"
#include "sdk/mm/address_space.h"

namespace myfs::mm {

// Waits until `done()`; whoever makes it true calls wake_waiters(key) afterwards. `done` may run
// under no lock of rank kCall or further in. ETIMEDOUT, EINTR.
Result<void> wait_for_key(const CallContext& ctx, AddressSpaceOps& ops, const void* key,
                          const std::function<bool()>& done);
void wake_waiters(const void* key);

// For waits that end by themselves: no deadline, not cancellable.
const CallContext& uninterruptible();

}  // namespace myfs::mm
