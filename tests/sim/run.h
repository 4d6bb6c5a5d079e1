// One run of a campaign: clients, chaos, and the checks at its end.
#pragma once

#include <cstdint>
#include <string>

namespace myfs::simtest {

struct RunOptions {
  uint64_t seed = 1;
  uint64_t operations = 5000;
  uint32_t faults = UINT32_MAX;  // FaultKind: those that may be drawn
  bool whole_trace = false;      // printed after the run
};

inline constexpr int kRunClean = 0;
inline constexpr int kRunFaulty = 1;
inline constexpr int kRunStuck = 3;

// Prints a line "result ...", a line "violation: ..." for each fault that the checks have found and
// a line "probe NAME COUNT" for each probe. Returns one of the above.
int run_one(const RunOptions& options);

}  // namespace myfs::simtest
