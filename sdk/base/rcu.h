// Rcu: readers of linked structures pay no lock; what they may still see is freed only when they
// have all left. Kernel counterpart: rcu_read_lock, call_rcu (kernel/rcu).  Differs: three epochs
// in user space instead of grace periods by context switch; a reader must not sleep, wait or call
// out. Thread safety: all. Read sections nest. Lock rank: kRcu, taken by call_rcu and by
// reclamation; free functions run without it. Invariants: (1) an object given to call_rcu is
// unreachable for new readers; (2) it is freed only after every read section that was open at that
// moment has ended; (3) leaving a section never frees: call_rcu does, a bounded number each.
#pragma once

#include <atomic>
#include <cstdint>

namespace myfs {

namespace rcu_internal {
struct alignas(64) Reader {
  std::atomic<uint64_t> epoch{0};  // 0: outside; else the epoch that was current on entry
  uint32_t depth = 0;              // of the owning thread only
  std::atomic<bool> in_use{false};
  Reader* next = nullptr;
};
extern std::atomic<uint64_t> g_epoch;
extern thread_local Reader* t_reader;
Reader* register_reader();
}  // namespace rcu_internal

inline void rcu_read_lock() {
  rcu_internal::Reader* reader = rcu_internal::t_reader;
  if (reader == nullptr) [[unlikely]]
    reader = rcu_internal::register_reader();
  if (reader->depth++ == 0) {
    // The exchange is a full barrier: no later load of ours passes it, so a reclaimer that misses
    // our epoch has unlinked its object before we could load it. Acquire: whoever enters in a newer
    // epoch sees what was unlinked in the older ones.
    reader->epoch.exchange(rcu_internal::g_epoch.load(std::memory_order_acquire),
                           std::memory_order_seq_cst);
  }
}

inline void rcu_read_unlock() {
  rcu_internal::Reader* reader = rcu_internal::t_reader;
  if (--reader->depth == 0) reader->epoch.store(0, std::memory_order_release);
}

class RcuReadGuard {
 public:
  RcuReadGuard() { rcu_read_lock(); }
  ~RcuReadGuard() { rcu_read_unlock(); }
  RcuReadGuard(const RcuReadGuard&) = delete;
  RcuReadGuard& operator=(const RcuReadGuard&) = delete;
};

// Frees `object` by `free_fn` after all present readers have left. Must not be called inside a read
// section of the calling thread's if the caller then waits for the freeing.
void call_rcu(void* object, void (*free_fn)(void*));

template <typename T>
void rcu_delete(T* object) {
  call_rcu(object, [](void* p) { delete static_cast<T*>(p); });
}

// Waits until everything that was given to call_rcu before has been freed. Not inside a read
// section. For tear-down.
void rcu_barrier();

}  // namespace myfs
