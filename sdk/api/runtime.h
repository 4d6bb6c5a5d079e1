// Runtime: what the mounts of a process share: the I/O loops and the memory of the page cache.
// Kernel counterpart: none; the kernel is its own runtime.
// Thread safety: all.
// Lock rank: kCall for the table of loops.
// Owns / is owned by: process_runtime() lives from the first mount on; a simulation makes
// one per client.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "sdk/base/result.h"
#include "sdk/base/sync.h"
#include "sdk/mm/runtime.h"
#include "sdk/uv/loop.h"

namespace myfs::api {

class Runtime {
 public:
  // `memory` null: the process's. It outlives the Runtime.
  explicit Runtime(mm::Runtime* memory = nullptr) : memory_(memory) {}

  // The loop whose threads spin that long; made at first use, gone with its last user.
  Result<std::shared_ptr<uv_io::Loop>> loop(int64_t spin_ns);
  mm::Runtime& memory() { return memory_ != nullptr ? *memory_ : mm::Runtime::process(); }

 private:
  mm::Runtime* const memory_;
  Mutex mutex_{LockRank::kCall};
  std::map<int64_t, std::weak_ptr<uv_io::Loop>> loops_ ABSL_GUARDED_BY(mutex_);
};

Runtime& process_runtime();

}  // namespace myfs::api
