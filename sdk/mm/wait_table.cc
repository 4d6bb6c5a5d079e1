#include "sdk/mm/wait_table.h"

#include <array>
#include <cstdint>

#include "sdk/base/clock.h"
#include "sdk/mm/page_state.h"

namespace myfs::mm {

struct WaitEntry {
  const void* key = nullptr;
  Event event;
  Waker* waker = nullptr;  // instead of the event
  bool queued = false;
  WaitEntry* next = nullptr;
  WaitEntry* prev = nullptr;
};

namespace {

constexpr size_t kBuckets = 256;

using Waiter = WaitEntry;

struct alignas(64) Bucket {
  Mutex mutex{LockRank::kCall};
  Waiter* head ABSL_GUARDED_BY(mutex) = nullptr;

  void push_locked(Waiter& waiter) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    waiter.prev = nullptr;
    waiter.next = head;
    if (head != nullptr) head->prev = &waiter;
    head = &waiter;
    waiter.queued = true;
  }
  void remove_locked(Waiter& waiter) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (!waiter.queued) return;
    (waiter.prev != nullptr ? waiter.prev->next : head) = waiter.next;
    if (waiter.next != nullptr) waiter.next->prev = waiter.prev;
    waiter.queued = false;
  }
};

Bucket& bucket_of(const void* key) {
  static std::array<Bucket, kBuckets>* const table = new std::array<Bucket, kBuckets>;
  uint64_t hash = reinterpret_cast<uintptr_t>(key) * 0x9e3779b97f4a7c15u;
  return (*table)[hash >> 56];
}

}  // namespace

Result<void> wait_for_key(const CallContext& ctx, AddressSpaceOps& ops, const void* key,
                          const std::function<bool()>& done) {
  Bucket& bucket = bucket_of(key);
  while (true) {
    if (done()) return {};
    Waiter waiter;
    waiter.key = key;
    {
      MutexLock lock(bucket.mutex);
      bucket.push_locked(waiter);
    }
    bool satisfied = done();
    if (!satisfied) {
      CancelToken::Listener listener(ctx.cancel, [&waiter] { waiter.event.set(); });
      (void)ops.wait(waiter.event, ctx.deadline_ns);
    }
    {
      MutexLock lock(bucket.mutex);
      bucket.remove_locked(waiter);
    }
    if (satisfied || done()) return {};
    if (ctx.cancelled()) return Errno(EINTR);
    if (ctx.deadline_ns != kNoDeadline && boottime_ns() >= ctx.deadline_ns) return Errno(ETIMEDOUT);
  }
}

void wake_waiters(const void* key) {
  Bucket& bucket = bucket_of(key);
  MutexLock lock(bucket.mutex);
  for (Waiter* waiter = bucket.head; waiter != nullptr;) {
    Waiter* next = waiter->next;
    if (waiter->key == key) {
      bucket.remove_locked(*waiter);
      if (waiter->waker != nullptr) {
        waiter->waker->wake();
      } else {
        waiter->event.set();
      }
    }
    waiter = next;
  }
}

PageWaiter::PageWaiter(Waker& waker) : waker_(waker) {}
PageWaiter::~PageWaiter() { disarm(); }

bool PageWaiter::arm(PageRef page) {
  disarm();
  if (entry_ == nullptr) entry_ = std::make_unique<WaitEntry>();
  page_ = std::move(page);
  entry_->key = page_.get();
  entry_->waker = &waker_;
  Bucket& bucket = bucket_of(entry_->key);
  {
    MutexLock lock(bucket.mutex);
    bucket.push_locked(*entry_);
  }
  if (!PageState::unlocked_or_mark(*page_)) return true;
  disarm();
  return false;
}

void PageWaiter::disarm() {
  if (!page_) return;
  Bucket& bucket = bucket_of(entry_->key);
  {
    MutexLock lock(bucket.mutex);
    bucket.remove_locked(*entry_);
  }
  page_ = nullptr;
}

const CallContext& uninterruptible() {
  static const CallContext* const ctx = new CallContext{std::make_shared<const Cred>()};
  return *ctx;
}

}  // namespace myfs::mm
