// WaitTable: where threads sleep for a page lock, for writes in flight of a file, for its commit.
// Kernel counterpart: folio_wait_table, struct wait_page_queue.  Differs: each waiter
// has an Event of its own, so that the file system can drive its I/O loop until it is set.
// Thread safety: all. Lock rank: buckets kCall; the wake-up runs under it and only sets Events,
// or calls Wakers.
// Owns / is owned by: process-wide; waiters live on their threads' stacks.
// Invariants: (1) a waiter queues itself before it looks at the condition, so no wake-up is lost.
#pragma once

#include <functional>
#include <memory>

#include "sdk/base/call_context.h"
#include "sdk/base/result.h"
#include "sdk/base/waker.h"
#include "sdk/mm/address_space.h"

namespace myfs::mm {

struct WaitEntry;

// Waits until `done()`; whoever makes it true calls wake_waiters(key) afterwards. `done` may run
// under no lock of rank kCall or further in. ETIMEDOUT, EINTR.
Result<void> wait_for_key(const CallContext& ctx, AddressSpaceOps& ops, const void* key,
                          const std::function<bool()>& done);
void wake_waiters(const void* key);

// Tells a Waker when a page is unlocked.
class PageWaiter {
 public:
  explicit PageWaiter(Waker& waker);
  ~PageWaiter();
  PageWaiter(const PageWaiter&) = delete;
  PageWaiter& operator=(const PageWaiter&) = delete;

  // False: it is not locked. True: the waker will be called once, unless disarmed before.
  bool arm(PageRef page);
  // Afterwards the waker is not called, nor being called.
  void disarm();

 private:
  Waker& waker_;
  PageRef page_;
  std::unique_ptr<WaitEntry> entry_;
};

// For waits that end by themselves: no deadline, not cancellable.
const CallContext& uninterruptible();

}  // namespace myfs::mm
