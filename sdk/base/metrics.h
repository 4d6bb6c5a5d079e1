// Metrics: counters that any thread may bump without sharing a cache line, summed by whoever asks.
// Kernel counterpart: percpu_counter (lib/percpu_counter.c).
// Thread safety: all.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace myfs {

namespace metrics_internal {
inline constexpr unsigned kShards = 8;
inline std::atomic<unsigned> g_next_shard{0};
inline unsigned this_shard() {
  thread_local const unsigned shard =
      g_next_shard.fetch_add(1, std::memory_order_relaxed) % kShards;
  return shard;
}
}  // namespace metrics_internal

class Counter {
 public:
  void add(int64_t n = 1) {
    cells_[metrics_internal::this_shard()].value.fetch_add(n, std::memory_order_relaxed);
  }
  // Not a snapshot: concurrent additions may or may not be seen.
  int64_t value() const {
    int64_t sum = 0;
    for (const Cell& cell : cells_) sum += cell.value.load(std::memory_order_relaxed);
    return sum;
  }

 private:
  struct alignas(64) Cell {
    std::atomic<int64_t> value{0};
  };
  std::array<Cell, metrics_internal::kShards> cells_;
};

}  // namespace myfs
