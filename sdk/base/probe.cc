#include "sdk/base/probe.h"

#include <algorithm>
#include <cstring>

// The linker's names for the ends of the section; absent where no probe was linked.
extern "C" {
__attribute__((weak, visibility("hidden"))) extern const myfs::Probe myfs_probes_begin __asm__(
    "__start_myfs_probes");
__attribute__((weak, visibility("hidden"))) extern const myfs::Probe myfs_probes_end __asm__(
    "__stop_myfs_probes");
}

namespace myfs {

std::vector<const Probe*> all_probes() {
  std::vector<const Probe*> probes;
  for (const Probe* probe = &myfs_probes_begin; probe != &myfs_probes_end; ++probe) {
    probes.push_back(probe);
  }
  std::sort(probes.begin(), probes.end(),
            [](const Probe* a, const Probe* b) { return std::strcmp(a->name, b->name) < 0; });
  return probes;
}

}  // namespace myfs
