#include <algorithm>
#include <cassert>

#include "sdk/base/clock.h"
#include "sdk/mm/reclaim.h"
#include "sdk/mm/runtime.h"

namespace myfs::mm {

namespace {
constexpr int64_t kProgressSlice_ns = 20 * kNsPerMs;
// Rounds of a charge that may pass without anything becoming reclaimable although pages are on
// their way (a server that does not answer): with the slice, the longest wait without a deadline.
constexpr int kIdleRoundsMax = 1500;
// Rounds that may pass if nothing is known to be on its way: other threads hold pages for a moment.
constexpr int kHopelessRoundsMax = 10;
}  // namespace

const char* mem_class_name(MemClass cls) {
  static constexpr std::array<const char*, kMemClasses> kNames = {
      "page_cache", "dirty",   "in_flight", "unstable", "dentries",
      "inodes",     "buffers", "arena",     "mapped"};
  return kNames[static_cast<size_t>(cls)];
}

void Budget::set_limit(size_t bytes) {
  limit_.store(bytes, std::memory_order_relaxed);
  give_back_above(bytes);
}

void Budget::give_back_above(size_t goal_bytes) {
  for (size_t now = used(); now > goal_bytes && make_room(now - goal_bytes);) now = used();
}

bool Budget::try_charge(MemClass cls, size_t bytes, From from) {
  size_t cap = limit();
  if (from == From::kNormal) cap -= std::min(cap, reserved());
  size_t before = used_.fetch_add(bytes, std::memory_order_relaxed);
  if (before + bytes > cap) {
    used_.fetch_sub(bytes, std::memory_order_relaxed);
    return false;
  }
  class_[static_cast<size_t>(cls)].fetch_add(static_cast<int64_t>(bytes),
                                             std::memory_order_relaxed);
  return true;
}

void Budget::charge_always(MemClass cls, size_t bytes) {
  used_.fetch_add(bytes, std::memory_order_relaxed);
  class_[static_cast<size_t>(cls)].fetch_add(static_cast<int64_t>(bytes),
                                             std::memory_order_relaxed);
}

void Budget::uncharge(MemClass cls, size_t bytes) {
  if (bytes == 0) return;
  class_[static_cast<size_t>(cls)].fetch_sub(static_cast<int64_t>(bytes),
                                             std::memory_order_relaxed);
  [[maybe_unused]] size_t before = used_.fetch_sub(bytes, std::memory_order_relaxed);
  assert(before >= bytes);
  note_progress();
}

void Budget::move(MemClass from, MemClass to, size_t bytes) {
  if (from == to) return;
  class_[static_cast<size_t>(from)].fetch_sub(static_cast<int64_t>(bytes),
                                              std::memory_order_relaxed);
  class_[static_cast<size_t>(to)].fetch_add(static_cast<int64_t>(bytes), std::memory_order_relaxed);
}

Result<void> Budget::charge(const CallContext& ctx, MemClass cls, size_t bytes) {
  int idle_rounds = 0;
  while (true) {
    int64_t seen = progress();
    if (try_charge(cls, bytes)) return {};
    if (make_room(bytes)) continue;
    if (try_charge(cls, bytes)) return {};
    MYFS_TRY(wait_or_give_up(ctx, seen, &idle_rounds));
  }
}

Result<void> Budget::wait_or_give_up(const CallContext& ctx, int64_t seen, int* idle_rounds) {
  int rounds_max = something_pending() ? kIdleRoundsMax : kHopelessRoundsMax;
  const bool gives_up = ++*idle_rounds > rounds_max;
  if (runtime_ != nullptr) {
    runtime_->pressure().raise(gives_up ? PressureLevel::kCritical : PressureLevel::kLow);
  }
  if (gives_up) return Errno(ENOMEM);
  if (runtime_ != nullptr) runtime_->writeback().kick();
  MYFS_TRY(wait_for_progress(ctx, seen));
  if (progress() != seen) *idle_rounds = 0;
  return {};
}

Result<void> Budget::reserve(size_t bytes) {
  size_t before = reserved_.fetch_add(bytes, std::memory_order_relaxed);
  if (before + bytes <= limit() / 2) return {};
  reserved_.fetch_sub(bytes, std::memory_order_relaxed);
  return Errno(ENOMEM);
}

void Budget::unreserve(size_t bytes) {
  reserved_.fetch_sub(bytes, std::memory_order_relaxed);
  note_progress();
}

bool Budget::something_pending() const {
  return used(MemClass::kDirty) + used(MemClass::kInFlight) + used(MemClass::kUnstable) +
             used(MemClass::kBuffers) + pages_reading_.load(std::memory_order_relaxed) !=
         0;
}

void Budget::note_progress() {
  progress_.fetch_add(1, std::memory_order_seq_cst);
  if (waiters_.load(std::memory_order_seq_cst) == 0) return;
  MutexLock lock(mutex_);
  changed_.notify_all();
}

Result<void> Budget::wait_for_progress(const CallContext& ctx, int64_t seen) {
  int64_t until = std::min(ctx.deadline_ns, deadline_after_ns(kProgressSlice_ns));
  waiters_.fetch_add(1, std::memory_order_seq_cst);
  {
    MutexLock lock(mutex_);
    while (progress_.load(std::memory_order_seq_cst) == seen) {
      if (!changed_.wait_until(mutex_, until)) break;
    }
  }
  waiters_.fetch_sub(1, std::memory_order_seq_cst);
  if (ctx.cancelled()) return Errno(EINTR);
  if (ctx.deadline_ns != kNoDeadline && boottime_ns() >= ctx.deadline_ns) return Errno(ETIMEDOUT);
  return {};
}

void Budget::register_shrinker(Shrinker* shrinker) {
  MutexLock lock(mutex_);
  shrinkers_.push_back({shrinker, 0});
}

void Budget::unregister_shrinker(Shrinker* shrinker) {
  MutexLock lock(mutex_);
  while (true) {
    auto it = std::find_if(shrinkers_.begin(), shrinkers_.end(),
                           [shrinker](const Registered& r) { return r.shrinker == shrinker; });
    if (it == shrinkers_.end()) return;
    if (it->running == 0) {
      shrinkers_.erase(it);
      return;
    }
    changed_.wait(mutex_);
  }
}

size_t Budget::run_shrinkers(size_t bytes) {
  size_t freed = 0, tried = 0;
  mutex_.lock();
  while (freed < bytes && tried++ < shrinkers_.size()) {
    Shrinker* shrinker = shrinkers_[next_shrinker_++ % shrinkers_.size()].shrinker;
    auto entry = [this, shrinker]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return std::find_if(shrinkers_.begin(), shrinkers_.end(),
                          [shrinker](const Registered& r) { return r.shrinker == shrinker; });
    };
    ++entry()->running;
    mutex_.unlock();
    freed += shrinker->shrink(bytes - freed);
    mutex_.lock();
    --entry()->running;
    changed_.notify_all();
  }
  mutex_.unlock();
  return freed;
}

bool Budget::make_room(size_t bytes) {
  if (runtime_ == nullptr) return run_shrinkers(bytes) != 0;
  size_t goal = (bytes + kPageSize_bytes - 1) / kPageSize_bytes;
  Arena& arena = runtime_->arena();
  size_t trimmed = arena.trim(goal);
  if (trimmed >= goal) return true;
  goal -= trimmed;
  // Whoever holds more gives first.
  bool names_first =
      used(MemClass::kDentries) + used(MemClass::kInodes) > used(MemClass::kPageCache);
  if (names_first && run_shrinkers(goal * kPageSize_bytes) != 0) return true;
  if (reclaim_pages(*runtime_, goal) != 0 && arena.trim(goal) != 0) return true;
  if (!names_first && run_shrinkers(goal * kPageSize_bytes) != 0) return true;
  return trimmed != 0;
}

}  // namespace myfs::mm
