// Probe: marks a rare path, so that a simulation can show that it has been there.
// Kernel counterpart: none (kcov is the nearest; FoundationDB's CodeProbe).
// Thread safety: all.
// Owns / is owned by: every MYFS_PROBE is a static object; the linker gathers them, so that those
// are listed, too, that no run has reached.
// Invariants: (1) a probe counts only while a simulator is installed; elsewhere it costs a load and
// a branch on a path that is rare; (2) not in templates and inline functions: each place is one
// probe.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

#include "sdk/base/sync.h"

namespace myfs {

struct alignas(32) Probe {
  const char* name;
  const char* file;
  std::atomic<uint64_t> count;
};

// All of the program, sorted by name. Several places may share a name; each is listed.
std::vector<const Probe*> all_probes();

}  // namespace myfs

#define MYFS_PROBE(label)                                                                       \
  do {                                                                                          \
    __attribute__((section("myfs_probes"), used)) static constinit ::myfs::Probe probe_here = { \
        label, __FILE__, 0};                                                                    \
    if (::myfs::g_sim_hooks.load(std::memory_order_relaxed) != nullptr) [[unlikely]]            \
      probe_here.count.fetch_add(1, std::memory_order_relaxed);                                 \
  } while (false)
