#include "sdk/mm/wait_table.h"

#include <array>
#include <cstdint>

#include "sdk/base/clock.h"

namespace myfs::mm {
namespace {

constexpr size_t kBuckets = 256;

struct Waiter {
  const void* key = nullptr;
  Event event;
  bool queued = false;
  Waiter* next = nullptr;
  Waiter* prev = nullptr;
};

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
      waiter->event.set();
    }
    waiter = next;
  }
}

const CallContext& uninterruptible() {
  static const CallContext* const ctx = new CallContext{std::make_shared<const Cred>()};
  return *ctx;
}

}  // namespace myfs::mm
