// The memory of the process's caches: statistics, budget, pressure.

#include <utility>

#include "sdk/api/runtime.h"
#include "sdk/base/error_detail.h"
#include "sdk/mm/runtime.h"

#include <myfs/myfs.h>

using namespace myfs;  // the facade's own rooms only

struct myfs_pressure {
  uint64_t id;
};

namespace {
constexpr uint64_t kMin_bytes = 16 << 20;  // as of the option cache_size
}  // namespace

extern "C" {

int myfs_get_memory(myfs_memory* out) {
  clear_error_detail();
  if (out == nullptr || out->size != sizeof(myfs_memory)) {
    return -fail(Errno(EINVAL), "myfs_memory.size is wrong").value();
  }
  mm::Runtime& memory = api::process_runtime().memory();
  const mm::Budget& budget = memory.budget();
  *out = {};
  out->size = sizeof *out;
  out->budget_bytes = budget.limit();
  out->used_bytes = budget.used();
  out->pages_clean_bytes = budget.used(mm::MemClass::kPageCache);
  out->pages_dirty_bytes = budget.used(mm::MemClass::kDirty);
  out->pages_in_flight_bytes = budget.used(mm::MemClass::kInFlight);
  out->pages_unstable_bytes = budget.used(mm::MemClass::kUnstable);
  out->dentries_bytes = budget.used(mm::MemClass::kDentries);
  out->inodes_bytes = budget.used(mm::MemClass::kInodes);
  out->transfers_bytes = budget.used(mm::MemClass::kBuffers);
  out->arena_bytes = budget.used(mm::MemClass::kArena);
  out->mapped_bytes = budget.used(mm::MemClass::kMapped);
  out->pinned_bytes = memory.pinned_bytes.load(std::memory_order_relaxed);
  out->pressure = static_cast<int>(memory.pressure().level());
  return 0;
}

int myfs_set_memory_budget(uint64_t bytes) {
  clear_error_detail();
  if (bytes < kMin_bytes || bytes > SIZE_MAX / 2) {
    return -fail(Errno(EINVAL), "the memory budget must be at least 16 MiB").value();
  }
  mm::Runtime& memory = api::process_runtime().memory();
  memory.budget().set_limit(bytes);
  memory.writeback().kick();
  return 0;
}

int myfs_on_pressure(myfs_pressure_fn fn, void* context, myfs_pressure** listener) {
  clear_error_detail();
  if (fn == nullptr || listener == nullptr) {
    return -fail(Errno(EINVAL), "nobody would be told").value();
  }
  mm::PressureWatch& watch = api::process_runtime().memory().pressure();
  const uint64_t id =
      watch.add([fn, context](mm::PressureLevel level) { fn(context, static_cast<int>(level)); });
  *listener = new myfs_pressure{id};
  return 0;
}

int myfs_off_pressure(myfs_pressure* listener) {
  if (listener == nullptr) return 0;
  api::process_runtime().memory().pressure().remove(listener->id);
  delete listener;
  return 0;
}

}  // extern "C"
