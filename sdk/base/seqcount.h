// SeqCount: lets readers copy data that a writer may be changing, and tells them afterwards whether
// the copy is whole. Kernel counterpart: seqcount_t (include/linux/seqlock.h). Thread safety: any
// number of readers; writers exclude each other by a lock of the caller's. Invariants: (1) odd
// while a writer is inside; (2) a reader trusts its copy only if retry() is false.
// racy_load/racy_store copy bytes that the other side may touch: plain memcpy, relaxed atomics
// under thread sanitizer.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace myfs {

class SeqCount {
 public:
  uint32_t read_begin() const {
    uint32_t seq = seq_.load(std::memory_order_acquire);
    while ((seq & 1) != 0) {
      __builtin_ia32_pause();
      seq = seq_.load(std::memory_order_acquire);
    }
    return seq;
  }
  // As read_begin, but returns an odd number instead of waiting; retry() of it is always true.
  uint32_t try_read_begin() const { return seq_.load(std::memory_order_acquire); }
  bool retry(uint32_t begin) const {
    std::atomic_thread_fence(std::memory_order_acquire);
    return (begin & 1) != 0 || seq_.load(std::memory_order_relaxed) != begin;
  }
  void write_begin() {
    seq_.store(seq_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
  }
  void write_end() {
    seq_.store(seq_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

 private:
  std::atomic<uint32_t> seq_{0};
};

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__ 1
#endif
#endif

#if defined(__SANITIZE_THREAD__)
inline void racy_copy(void* to, const void* from, size_t size_bytes) {
  auto* out = static_cast<unsigned char*>(to);
  auto* in = static_cast<const unsigned char*>(from);
  for (size_t i = 0; i < size_bytes; ++i) {
    __atomic_store_n(out + i, __atomic_load_n(in + i, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
  }
}
#else
inline void racy_copy(void* to, const void* from, size_t size_bytes) {
  if (size_bytes != 0) std::memcpy(to, from, size_bytes);  // an empty piece may have no address
}
#endif

}  // namespace myfs
