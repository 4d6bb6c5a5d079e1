// Runtime: what all page caches of a process share: arena, budget, write-back thread.
// Kernel counterpart: the globals of mm/.  Differs: an object, so that a simulation holds several
// clients in one process. Thread safety: all. Lock rank: none of its own. Owns / is owned by: owned
// by whoever created it, or by the process (process()); outlives every AddressSpace made with it.
#pragma once

#include <memory>

#include "sdk/base/metrics.h"
#include "sdk/base/result.h"
#include "sdk/mm/arena.h"
#include "sdk/mm/pressure.h"
#include "sdk/mm/reclaim.h"
#include "sdk/mm/writeback.h"

namespace myfs::mm {

struct RuntimeOptions {
  size_t limit_bytes = size_t{256} << 20;
  size_t arena_max_bytes = 0;               // address space; 0: the larger of 4 GiB and limit_bytes
  size_t dirty_limit_bytes = 0;             // writers wait above it; 0: a quarter of the limit
  size_t dirty_background_bytes = 0;        // the flusher starts above it; 0: half of dirty_limit
  int64_t dirty_expire_ns = 1'000'000'000;  // a page stays dirty at most about this long
  int64_t commit_expire_ns = 2'000'000'000;  // a page stays unstable at most about this long
};

// Smallest budget that a runtime accepts: room for the reserve and some pages in flight.
inline constexpr size_t kBudgetMin_bytes = 256 << 10;

struct RuntimeStats {
  Counter page_hits;    // filemap_read_hit that succeeded
  Counter page_misses;  // pages that had to be read
  Counter pages_read_ahead;
  Counter pages_written;
  Counter pages_reclaimed;
  Counter pages_copied_on_write;
  Counter writers_throttled;
};

class Runtime {
 public:
  static Result<std::unique_ptr<Runtime>> create(const RuntimeOptions& options);
  // The instance of the process, made at first use with 1/8 of the smaller of RAM and cgroup limit,
  // within 64 MiB..4 GiB; Budget::set_limit changes it later. It watches the pressure of its
  // cgroup, or of the system, and counts TransferMemory.
  static Runtime& process();
  ~Runtime();

  Arena& arena() { return *arena_; }
  Budget& budget() { return budget_; }
  Writeback& writeback() { return writeback_; }
  RuntimeStats& stats() { return stats_; }
  PressureWatch& pressure() { return pressure_; }
  std::atomic<size_t> pinned_bytes{0};  // of PagePins
  const RuntimeOptions& options() const { return options_; }
  size_t dirty_limit_bytes() const;
  size_t dirty_background_bytes() const;

 private:
  explicit Runtime(const RuntimeOptions& options);

  const RuntimeOptions options_;
  RuntimeStats stats_;
  Budget budget_;
  std::unique_ptr<Arena> arena_;
  std::atomic<size_t> clock_hand_{0};
  Writeback writeback_;
  friend size_t reclaim_pages(Runtime& runtime, size_t count);
  PressureWatch pressure_{budget_};
};

}  // namespace myfs::mm
