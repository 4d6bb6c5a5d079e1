#include "sdk/base/rcu.h"

#include <deque>
#include <vector>

#include "sdk/base/sync.h"

namespace myfs {

namespace rcu_internal {
std::atomic<uint64_t> g_epoch{1};
thread_local Reader* t_reader = nullptr;
}  // namespace rcu_internal

namespace {

using rcu_internal::g_epoch;
using rcu_internal::Reader;

// Per call_rcu at most this many objects are freed, so that no caller pays for everybody.
constexpr size_t kFreeBatch = 64;

struct Retired {
  void* object;
  void (*free_fn)(void*);
  uint64_t epoch;
};

struct State {
  std::atomic<Reader*> readers{nullptr};  // only grows; records are reused
  Mutex mutex{LockRank::kRcu};
  std::deque<Retired> retired ABSL_GUARDED_BY(mutex);
};

State& state() {
  static State* const instance = new State;  // outlives every thread of the process
  return *instance;
}

struct ReaderLease {
  Reader* reader = nullptr;
  ~ReaderLease() {
    if (reader == nullptr) return;
    rcu_internal::t_reader = nullptr;
    reader->in_use.store(false, std::memory_order_release);
  }
};
thread_local ReaderLease t_reader_lease;

uint64_t oldest_reader_epoch(uint64_t now) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  uint64_t oldest = now;
  for (Reader* reader = state().readers.load(std::memory_order_acquire); reader != nullptr;
       reader = reader->next) {
    uint64_t epoch = reader->epoch.load(std::memory_order_acquire);
    if (epoch != 0 && epoch < oldest) oldest = epoch;
  }
  return oldest;
}

// Takes up to `limit` objects whose readers have left.
std::vector<Retired> take_free(size_t limit) {
  std::vector<Retired> result;
  MutexLock lock(state().mutex);
  uint64_t oldest = oldest_reader_epoch(g_epoch.load(std::memory_order_seq_cst));
  while (!state().retired.empty() && result.size() < limit &&
         state().retired.front().epoch < oldest) {
    result.push_back(state().retired.front());
    state().retired.pop_front();
  }
  return result;
}

}  // namespace

Reader* rcu_internal::register_reader() {
  Reader* reader = state().readers.load(std::memory_order_acquire);
  for (; reader != nullptr; reader = reader->next) {
    bool expected = false;
    if (reader->in_use.compare_exchange_strong(expected, true, std::memory_order_acq_rel)) break;
  }
  if (reader == nullptr) {
    reader = new Reader;
    reader->in_use.store(true, std::memory_order_relaxed);
    reader->next = state().readers.load(std::memory_order_relaxed);
    while (
        !state().readers.compare_exchange_weak(reader->next, reader, std::memory_order_acq_rel)) {
    }
  }
  t_reader_lease.reader = reader;
  t_reader = reader;
  return reader;
}

void call_rcu(void* object, void (*free_fn)(void*)) {
  {
    MutexLock lock(state().mutex);
    uint64_t epoch = g_epoch.fetch_add(1, std::memory_order_seq_cst);
    state().retired.push_back(Retired{object, free_fn, epoch});
  }
  for (const Retired& entry : take_free(kFreeBatch)) entry.free_fn(entry.object);
}

void rcu_barrier() {
  uint64_t target = g_epoch.fetch_add(1, std::memory_order_seq_cst);
  while (true) {
    for (const Retired& entry : take_free(SIZE_MAX)) entry.free_fn(entry.object);
    {
      MutexLock lock(state().mutex);
      if (state().retired.empty() || state().retired.front().epoch > target) return;
    }
    std::this_thread::yield();
    sim_yield_point("rcu_barrier");
  }
}

}  // namespace myfs
