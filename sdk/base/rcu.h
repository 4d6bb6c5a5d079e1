// Rcu: readers of linked structures pay no lock; what they may still see is freed only when they
// have all left. Kernel counterpart: rcu_read_lock, call_rcu (kernel/rcu).  Differs: three epochs
// in user space instead of grace periods by context switch; a reader must not sleep, wait or call
// out. What a thread retires gathers in its own record; a full batch is freed by the thread that
// fills a later one. Entering a section is two plain loads and a store: the full barrier that they
// lack is forced upon the readers by membarrier(2), once a batch; where the kernel refuses that,
// each reader pays for its own.
// Thread safety: all. Read sections nest.
// Lock rank: kRcu, of a record's lists; free functions run without it.
// Invariants: (1) an object given to call_rcu is unreachable for new readers; (2) it is freed only
// after every read section that was open at that moment has ended; (3) leaving a section never
// frees: call_rcu does.
#pragma once

#include <atomic>
#include <cstdint>

namespace myfs {

namespace rcu_internal {
class Record;  // what a thread has retired

struct alignas(64) Reader {
  std::atomic<uint64_t> epoch{0};  // 0: outside; else the epoch that was current on entry
  uint32_t depth = 0;              // of the owning thread only
  std::atomic<bool> in_use{false};
  Reader* next = nullptr;
  Record* record = nullptr;
};
extern std::atomic<uint64_t> g_epoch;
extern constinit thread_local Reader* t_reader;
// Whether reclamation makes the barrier of readers. Fixed before the first section.
extern const bool g_asymmetric;
Reader* register_reader();
}  // namespace rcu_internal

inline void rcu_read_lock() {
  rcu_internal::Reader* reader = rcu_internal::t_reader;
  if (reader == nullptr) [[unlikely]]
    reader = rcu_internal::register_reader();
  if (reader->depth++ == 0) {
    // Acquire: whoever enters in a newer epoch sees what was unlinked in the older ones.
    uint64_t epoch = rcu_internal::g_epoch.load(std::memory_order_acquire);
    if (rcu_internal::g_asymmetric) [[likely]] {
      reader->epoch.store(epoch, std::memory_order_relaxed);
      std::atomic_signal_fence(std::memory_order_seq_cst);
    } else {
      // A full barrier: no later load of ours passes it, so a reclaimer that misses our epoch has
      // unlinked its object before we could load it.
      reader->epoch.exchange(epoch, std::memory_order_seq_cst);
    }
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
