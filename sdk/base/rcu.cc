#include "sdk/base/rcu.h"

#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <deque>
#include <utility>
#include <vector>

#include "sdk/base/sync.h"

namespace myfs {
namespace {

// Retired objects of a thread that are freed together.
constexpr size_t kBatch = 64;

struct Retired {
  void* object;
  void (*free_fn)(void*);
};
using Batch = std::vector<Retired>;

bool register_membarrier() {
#if defined(__SANITIZE_THREAD__)
  return false;  // the sanitizer does not know it
#else
  return ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
#endif
}

// Makes the kernel interrupt every core that runs one of our threads: it withdraws the right to
// write a page that was just written.
bool shoot_down() {
#if defined(__x86_64__)
  static void* const page =
      ::mmap(nullptr, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  static Mutex mutex{LockRank::kRcu};
  MutexLock lock(mutex);
  if (page == MAP_FAILED || ::mprotect(page, 1, PROT_READ | PROT_WRITE) != 0) return false;
  *static_cast<volatile char*>(page) = 1;
  return ::mprotect(page, 1, PROT_READ) == 0;
#else
  return false;
#endif
}

// A full memory barrier in every thread of the process. A sandbox put on later may forbid the
// direct way.
bool barrier_everywhere() {
  return ::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0 || shoot_down();
}

}  // namespace

namespace rcu_internal {
std::atomic<uint64_t> g_epoch{1};
constinit thread_local Reader* t_reader = nullptr;
const bool g_asymmetric = register_membarrier();

class Record {
 public:
  // Whether a batch is full.
  bool retire(Retired entry) {
    MutexLock lock(mutex_);
    fresh_.push_back(entry);
    return fresh_.size() >= kBatch;
  }
  // From now on no reader that enters can see what was retired here.
  void close_batch() {
    MutexLock lock(mutex_);
    if (fresh_.empty()) return;
    waiting_.emplace_back(g_epoch.fetch_add(1, std::memory_order_seq_cst),
                          std::exchange(fresh_, {}));
  }
  // What was retired before the epoch `oldest`, that of the oldest section.
  Batch take_free(uint64_t oldest) {
    MutexLock lock(mutex_);
    Batch result;
    while (!waiting_.empty() && waiting_.front().first < oldest) {
      Batch& batch = waiting_.front().second;
      result.insert(result.end(), batch.begin(), batch.end());
      waiting_.pop_front();
    }
    return result;
  }
  bool holds_any_of(uint64_t epoch) {
    MutexLock lock(mutex_);
    return !waiting_.empty() && waiting_.front().first <= epoch;
  }

  bool freeing = false;  // of the owning thread only

 private:
  Mutex mutex_{LockRank::kRcu};
  Batch fresh_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::pair<uint64_t, Batch>> waiting_ ABSL_GUARDED_BY(mutex_);  // by epoch
};
}  // namespace rcu_internal

namespace {

using rcu_internal::g_epoch;
using rcu_internal::Reader;
using rcu_internal::Record;

// Only grows; records are reused, and outlive every thread of the process.
constinit std::atomic<Reader*> g_readers{nullptr};

struct ReaderLease {
  Reader* reader = nullptr;
  ~ReaderLease() {
    if (reader == nullptr) return;
    rcu_internal::t_reader = nullptr;
    reader->in_use.store(false, std::memory_order_release);
  }
};
thread_local ReaderLease t_reader_lease;

uint64_t oldest_reader_epoch() {
  uint64_t oldest = g_epoch.load(std::memory_order_seq_cst);
  // Every reader's epoch is visible after this, or its section begins after it.
  if (!rcu_internal::g_asymmetric) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  } else if (!barrier_everywhere()) {
    return 0;  // nothing can be freed safely
  }
  for (Reader* reader = g_readers.load(std::memory_order_acquire); reader != nullptr;
       reader = reader->next) {
    uint64_t epoch = reader->epoch.load(std::memory_order_acquire);
    if (epoch != 0 && epoch < oldest) oldest = epoch;
  }
  return oldest;
}

void free_all(const Batch& batch) {
  for (const Retired& entry : batch) entry.free_fn(entry.object);
}

Reader* this_reader() {
  Reader* reader = rcu_internal::t_reader;
  return reader != nullptr ? reader : rcu_internal::register_reader();
}

}  // namespace

Reader* rcu_internal::register_reader() {
  Reader* reader = g_readers.load(std::memory_order_acquire);
  for (; reader != nullptr; reader = reader->next) {
    bool expected = false;
    if (reader->in_use.compare_exchange_strong(expected, true, std::memory_order_acq_rel)) break;
  }
  if (reader == nullptr) {
    reader = new Reader;
    reader->record = new Record;
    reader->in_use.store(true, std::memory_order_relaxed);
    reader->next = g_readers.load(std::memory_order_relaxed);
    while (!g_readers.compare_exchange_weak(reader->next, reader, std::memory_order_acq_rel)) {
    }
  }
  t_reader_lease.reader = reader;
  t_reader = reader;
  return reader;
}

void call_rcu(void* object, void (*free_fn)(void*)) {
  Record& record = *this_reader()->record;
  if (!record.retire({object, free_fn}) || record.freeing) return;
  record.close_batch();
  record.freeing = true;  // a free function may retire in its turn
  free_all(record.take_free(oldest_reader_epoch()));
  record.freeing = false;
}

void rcu_barrier() {
  auto each_record = [](auto visit) {
    for (Reader* reader = g_readers.load(std::memory_order_acquire); reader != nullptr;
         reader = reader->next) {
      visit(*reader->record);
    }
  };
  each_record([](Record& record) { record.close_batch(); });
  const uint64_t target = g_epoch.fetch_add(1, std::memory_order_seq_cst);
  while (true) {
    const uint64_t oldest = oldest_reader_epoch();
    bool waits = false;
    each_record([&](Record& record) {
      free_all(record.take_free(oldest));
      waits = waits || record.holds_any_of(target);
    });
    if (!waits) return;
    std::this_thread::yield();
    sim_yield_point("rcu_barrier");
  }
}

}  // namespace myfs
