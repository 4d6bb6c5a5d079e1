// Clock: the three times that MyFS knows, all in nanoseconds.
// Kernel counterpart: ktime_get_boottime_ns, ktime_get_real_ns.  Differs: a simulation supplies
// them. Thread safety: all.
#pragma once

#include <time.h>

#include <cstdint>

#include "sdk/base/sync.h"

namespace myfs {

// CLOCK_BOOTTIME: goes on while the machine sleeps; the scale of every deadline and lease.
inline int64_t boottime_ns() {
  if (SimHooks* hooks = sim_hooks(); hooks != nullptr) [[unlikely]]
    return hooks->boottime_ns();
  timespec ts;
  clock_gettime(CLOCK_BOOTTIME, &ts);
  return ts.tv_sec * 1'000'000'000 + ts.tv_nsec;
}

// CLOCK_REALTIME: the scale of file times.
inline int64_t realtime_ns() {
  if (SimHooks* hooks = sim_hooks(); hooks != nullptr) [[unlikely]]
    return hooks->realtime_ns();
  timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return ts.tv_sec * 1'000'000'000 + ts.tv_nsec;
}

inline constexpr int64_t kNsPerUs = 1'000, kNsPerMs = 1'000'000, kNsPerSec = 1'000'000'000;

// now + duration that never wraps; durations <= 0 give "now".
inline int64_t deadline_after_ns(int64_t duration_ns) {
  if (duration_ns == kNoDeadline) return kNoDeadline;
  int64_t now = boottime_ns();
  return duration_ns > kNoDeadline - now ? kNoDeadline : now + (duration_ns > 0 ? duration_ns : 0);
}

}  // namespace myfs
