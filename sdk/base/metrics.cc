#include "sdk/base/metrics.h"

#include <bit>

namespace myfs {
namespace {

constinit std::atomic<uint32_t> g_free{(1u << metrics_internal::kOwnCells) - 1};

struct CellLease {
  unsigned cell = metrics_internal::kSharedCell;
  ~CellLease() {
    // What counts after this, in other destructors of the thread, shares.
    metrics_internal::t_cell = metrics_internal::kSharedCell;
    if (cell != metrics_internal::kSharedCell) {
      g_free.fetch_or(1u << cell, std::memory_order_release);
    }
  }
};
thread_local CellLease t_lease;

}  // namespace

namespace metrics_internal {

constinit thread_local unsigned t_cell = kNoCell;

unsigned take_cell() {
  uint32_t free = g_free.load(std::memory_order_relaxed);
  // Acquire: the counts of the cell's last owner.
  while (free != 0 &&
         !g_free.compare_exchange_weak(free, free & (free - 1), std::memory_order_acquire)) {
  }
  t_cell = t_lease.cell = free == 0 ? kSharedCell : static_cast<unsigned>(std::countr_zero(free));
  return t_cell;
}

}  // namespace metrics_internal
}  // namespace myfs
