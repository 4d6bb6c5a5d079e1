// MemoryMeter: bytes that rooms which know no budget hold for a process; the budget of mm counts
// them.
// Kernel counterpart: sk_memory_allocated (net/core/sock.c).
// Thread safety: all. Lock rank: none. Owns / is owned by: constants of the process.
// Invariants: (1) who listens is told every change after the sum that there was when he came.
#pragma once

#include <atomic>
#include <cstdint>

namespace myfs {

// Large messages: in flight, and their memory kept for the next ones.
class TransferMemory {
 public:
  // May run under leaf locks up to kWriteback: it may take kBudget, to wake who waits for memory.
  using Listener = void (*)(int64_t more_bytes);
  static void add(int64_t bytes) {
    bytes_.fetch_add(bytes, std::memory_order_relaxed);
    if (Listener told = listener_.load(std::memory_order_acquire); told != nullptr) told(bytes);
  }
  // Once, before the process has loops.
  static void set_listener(Listener listener) {
    listener(bytes_.load(std::memory_order_relaxed));
    listener_.store(listener, std::memory_order_release);
  }

 private:
  static inline std::atomic<int64_t> bytes_{0};
  static inline std::atomic<Listener> listener_{nullptr};
};

}  // namespace myfs
