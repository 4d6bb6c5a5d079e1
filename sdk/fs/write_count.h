// WriteCount: who writes through a mount, or to a super block, and whether anybody may.
// Kernel counterpart: mnt_writers and MNT_WRITE_HOLD of struct mount (fs/namespace.c).  Differs:
// one counter, which opening for writing and changes of names bump; nothing that hits a cache does.
// Thread safety: all.
// Lock rank: kFdTable, a leaf.
// Invariants: (1) make_read_only() succeeds only while nobody holds a get().
#pragma once

#include <atomic>
#include <cstdint>

#include "sdk/base/errno.h"
#include "sdk/base/sync.h"

namespace myfs::fs {

class WriteCount {
 public:
  explicit WriteCount(bool read_only) : state_(read_only ? kReadOnly : kReadWrite) {}

  bool is_read_only() const { return state_.load(std::memory_order_relaxed) == kReadOnly; }
  // False: read-only. Otherwise put() follows.
  bool get() {
    while (true) {
      writers_.fetch_add(1, std::memory_order_seq_cst);
      const uint8_t state = state_.load(std::memory_order_seq_cst);
      if (state == kReadWrite) return true;
      put();
      if (state == kReadOnly) return false;
      MutexLock wait_for_the_decision(mutex_);
    }
  }
  void put() { writers_.fetch_sub(1, std::memory_order_seq_cst); }

  // EBUSY: somebody writes.
  Errno make_read_only() {
    MutexLock lock(mutex_);
    if (is_read_only()) return Errno();
    state_.store(kDeciding, std::memory_order_seq_cst);
    const bool busy = writers_.load(std::memory_order_seq_cst) != 0;
    state_.store(busy ? kReadWrite : kReadOnly, std::memory_order_seq_cst);
    return busy ? Errno(EBUSY) : Errno();
  }
  // Whoever writes.
  void set_read_only(bool value) {
    MutexLock lock(mutex_);
    state_.store(value ? kReadOnly : kReadWrite, std::memory_order_seq_cst);
  }

 private:
  enum : uint8_t { kReadWrite, kReadOnly, kDeciding };
  std::atomic<uint8_t> state_;
  std::atomic<int64_t> writers_{0};
  Mutex mutex_{LockRank::kFdTable};
};

}  // namespace myfs::fs
