#include "sdk/mm/runtime.h"

#include <sys/sysinfo.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "sdk/base/error_detail.h"
#include "sdk/base/log.h"
#include "sdk/base/memory_meter.h"
#include "sdk/mm/cgroup.h"

namespace myfs::mm {

namespace {

constexpr size_t kArenaDefaultMax_bytes = size_t{4} << 30;
constexpr size_t kProcessBudgetMin_bytes = size_t{64} << 20;
constexpr size_t kProcessBudgetMax_bytes = size_t{4} << 30;
constexpr size_t kDirtyShare = 4;  // a quarter of the limit
constexpr size_t kBackgroundMax_bytes = size_t{16} << 20;

// Bounded by credits and pools, so it is never refused; what else there is gives way to it.
Runtime* process_runtime = nullptr;  // constant from before count_transfers is called

void count_transfers(int64_t more_bytes) {
  Budget& budget = process_runtime->budget();
  if (more_bytes >= 0) {
    budget.charge_always(MemClass::kBuffers, static_cast<size_t>(more_bytes));
    if (budget.used() > budget.limit()) process_runtime->pressure().exceeded();
  } else {
    budget.uncharge(MemClass::kBuffers, static_cast<size_t>(-more_bytes));
  }
}

size_t process_limit_bytes() {
  struct sysinfo info = {};
  size_t ram = ::sysinfo(&info) == 0 ? size_t{info.totalram} * info.mem_unit : SIZE_MAX;
  return std::clamp(std::min(ram, cgroup_memory_max()) / 8, kProcessBudgetMin_bytes,
                    kProcessBudgetMax_bytes);
}

}  // namespace

Result<std::unique_ptr<Runtime>> Runtime::create(const RuntimeOptions& options) {
  if (options.limit_bytes < kBudgetMin_bytes) {
    return fail(Errno(EINVAL), "cache_size: must be at least 256 KiB");
  }
  std::unique_ptr<Runtime> runtime(new Runtime(options));
  size_t arena_max = options.arena_max_bytes != 0
                         ? options.arena_max_bytes
                         : std::max(kArenaDefaultMax_bytes, options.limit_bytes);
  MYFS_ASSIGN(runtime->arena_, Arena::create(runtime->budget_, arena_max));
  return runtime;
}

Runtime& Runtime::process() {
  static Runtime* const instance = [] {
    RuntimeOptions options;
    options.limit_bytes = process_limit_bytes();
    Result<std::unique_ptr<Runtime>> made = create(options);
    if (!made.ok()) {
      log(LogLevel::kError, "page cache: no address space for the arena (%s)",
          std::string(made.error().name()));
      std::abort();
    }
    process_runtime = made->get();
    process_runtime->pressure().start();
    TransferMemory::set_listener(&count_transfers);
    process_runtime->pressure().watch(PressureWatch::psi_sources(memory_pressure_file()));
    return std::move(made).value().release();  // lives as long as the process
  }();
  return *instance;
}

Runtime::Runtime(const RuntimeOptions& options)
    : options_(options), budget_(options.limit_bytes), writeback_(*this) {
  budget_.runtime_ = this;
}

Runtime::~Runtime() {
  pressure_.stop();
  writeback_.stop();
}

size_t Runtime::dirty_limit_bytes() const {
  if (options_.dirty_limit_bytes != 0) return options_.dirty_limit_bytes;
  return std::max(budget_.limit() / kDirtyShare, 4 * kPageSize_bytes);
}

size_t Runtime::dirty_background_bytes() const {
  if (options_.dirty_background_bytes != 0) return options_.dirty_background_bytes;
  return std::min(dirty_limit_bytes() / 2, kBackgroundMax_bytes);
}

}  // namespace myfs::mm
