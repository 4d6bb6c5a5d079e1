// Cgroup: what the control group of this process says about memory.
// Kernel counterpart: mm/memcontrol.c (memory.max, memory.pressure), as seen from inside.
// Thread safety: functions without state. Lock rank: none. Owns / is owned by: nothing.
// Everything may be absent: no cgroup v2, no mount of it, no permission. Then there is no limit.
#pragma once

#include <cstddef>
#include <string>

namespace myfs::mm {

// Where to look; tests have trees of their own.
struct CgroupPlaces {
  std::string proc_self_cgroup = "/proc/self/cgroup";
  std::string root = "/sys/fs/cgroup";
  std::string proc_pressure = "/proc/pressure/memory";
};

// The directory of the process's cgroup v2; empty: there is none to be seen. A container sees its
// own as the root.
std::string cgroup_dir(const CgroupPlaces& places = {});
// The least memory.max from there up to the root, or what cgroup v1 says; SIZE_MAX: no limit.
size_t cgroup_memory_max(const CgroupPlaces& places = {});
// The file of pressure that concerns this process most: its cgroup's, else the system's; empty:
// the kernel tells none.
std::string memory_pressure_file(const CgroupPlaces& places = {});

}  // namespace myfs::mm
