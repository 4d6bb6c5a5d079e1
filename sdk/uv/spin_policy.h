// SpinPolicy: decides whether looking again and again is cheaper than sleeping and being woken.
// Kernel counterpart: the haltpoll cpuidle governor.
// Thread safety: none; used by the driver of a loop.
// Invariants: (1) spins only while one of the last two events came within the window of the loop's
// going idle, so an idle
// process never spins.
#pragma once

#include <sched.h>

#include <cstdint>

namespace myfs::uv_io {

// What a sleep adds to the gap measured across it: the wake-up of a core.
inline constexpr int64_t kWakeCost_ns = 50'000;

// A look that took longer was not alone on its core: others want it, and spinning takes it from
// them, perhaps from the very thread that it waits for.
inline constexpr int64_t kContended_ns = 8'000;

// Between two looks: others may have the core, but not at the price of a system call each time.
inline void yield_now_and_then(unsigned looks) {
  constexpr unsigned kLooksPerYield = 4;
  if (looks % kLooksPerYield == 0) sched_yield();
}

class SpinPolicy {
 public:
  // The core was taken away during a spin: sleeps until events come close together again.
  void contended() { last_gap_ns_ = gap_before_ns_ = kLong_ns; }
  bool worth_it(int64_t window_ns) const {
    return window_ns > 0 && (last_gap_ns_ <= window_ns || gap_before_ns_ <= window_ns);
  }
  // An event came `gap_ns` after the loop had run dry; `slept`: a sleep lies in between.
  void observed(int64_t gap_ns, bool slept) {
    if (slept) gap_ns = gap_ns > kWakeCost_ns ? gap_ns - kWakeCost_ns : 0;
    gap_before_ns_ = last_gap_ns_;
    last_gap_ns_ = gap_ns;
  }

 private:
  static constexpr int64_t kLong_ns = INT64_MAX;
  int64_t last_gap_ns_ = kLong_ns;
  int64_t gap_before_ns_ = kLong_ns;
};

}  // namespace myfs::uv_io
