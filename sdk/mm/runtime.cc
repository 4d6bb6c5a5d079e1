#include "sdk/mm/runtime.h"

#include <sys/sysinfo.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "sdk/base/error_detail.h"
#include "sdk/base/log.h"

namespace myfs::mm {

namespace {

constexpr size_t kArenaDefaultMax_bytes = size_t{4} << 30;
constexpr size_t kProcessBudgetMin_bytes = size_t{64} << 20;
constexpr size_t kProcessBudgetMax_bytes = size_t{4} << 30;
constexpr size_t kDirtyShare = 4;  // a quarter of the limit
constexpr size_t kBackgroundMax_bytes = size_t{16} << 20;

// Of the cgroup (v2, else v1) that contains this process, or SIZE_MAX. A container sees its own as
// the root.
size_t cgroup_limit_bytes() {
  for (const char* path :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::FILE* file = std::fopen(path, "re");
    if (file == nullptr) continue;
    unsigned long long value = 0;
    int fields = std::fscanf(file, "%llu", &value);
    std::fclose(file);
    if (fields == 1 && value > 0) return static_cast<size_t>(value);
  }
  return SIZE_MAX;
}

size_t process_limit_bytes() {
  struct sysinfo info = {};
  size_t ram = ::sysinfo(&info) == 0 ? size_t{info.totalram} * info.mem_unit : SIZE_MAX;
  return std::clamp(std::min(ram, cgroup_limit_bytes()) / 8, kProcessBudgetMin_bytes,
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
    return std::move(made).value().release();  // lives as long as the process
  }();
  return *instance;
}

Runtime::Runtime(const RuntimeOptions& options)
    : options_(options), budget_(options.limit_bytes), writeback_(*this) {
  budget_.runtime_ = this;
}

Runtime::~Runtime() { writeback_.stop(); }

size_t Runtime::dirty_limit_bytes() const {
  if (options_.dirty_limit_bytes != 0) return options_.dirty_limit_bytes;
  return std::max(budget_.limit() / kDirtyShare, 4 * kPageSize_bytes);
}

size_t Runtime::dirty_background_bytes() const {
  if (options_.dirty_background_bytes != 0) return options_.dirty_background_bytes;
  return std::min(dirty_limit_bytes() / 2, kBackgroundMax_bytes);
}

}  // namespace myfs::mm
