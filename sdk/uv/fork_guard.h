// ForkGuard: tells an object whether it still lives in the process that made it.
// Kernel counterpart: MADV_WIPEONFORK (mm/madvise.c).
// Thread safety: all.
// Invariants: (1) the generation of a process never equals that of its parent; (2) asking costs one
// load.
#pragma once

#include <atomic>
#include <cstdint>

namespace myfs::uv_io {

// A number that differs between a process and its forked children. Never 0.
uint64_t fork_generation();

class ForkGuard {
 public:
  ForkGuard() : generation_(fork_generation()) {}
  // False in a forked child: descriptors may be closed by close(2), nothing else of the runtime may
  // be touched.
  bool same_process() const { return generation_ == fork_generation(); }

 private:
  const uint64_t generation_;
};

}  // namespace myfs::uv_io
