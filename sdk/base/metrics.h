// Metrics: counters that any thread may bump without sharing a cache line, summed by whoever asks.
// Kernel counterpart: percpu_counter (lib/percpu_counter.c).
// Thread safety: all.
// Invariants: (1) a cell other than the shared one has one thread at a time that writes it, which
// needs no atomic addition.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace myfs {

namespace metrics_internal {
inline constexpr unsigned kOwnCells = 15;
inline constexpr unsigned kSharedCell = kOwnCells;  // of the threads that found none free
inline constexpr unsigned kNoCell = kOwnCells + 1;
extern constinit thread_local unsigned t_cell;
// Gives the calling thread a cell until it ends.
unsigned take_cell();
}  // namespace metrics_internal

class Counter {
 public:
  void add(int64_t n = 1) {
    unsigned cell = metrics_internal::t_cell;
    if (cell == metrics_internal::kNoCell) [[unlikely]]
      cell = metrics_internal::take_cell();
    std::atomic<int64_t>& value = cells_[cell].value;
    if (cell != metrics_internal::kSharedCell) [[likely]] {
      value.store(value.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    } else {
      value.fetch_add(n, std::memory_order_relaxed);
    }
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
  std::array<Cell, metrics_internal::kOwnCells + 1> cells_;
};

}  // namespace myfs
