#include "sdk/mm/cgroup.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>

namespace myfs::mm {

namespace {

// "max", nothing, or what cannot be read: SIZE_MAX.
size_t read_bytes(const std::string& file) {
  std::ifstream in(file);
  unsigned long long value = 0;
  return in >> value && value > 0 ? static_cast<size_t>(value) : SIZE_MAX;
}

bool exists(const std::string& file) { return ::access(file.c_str(), F_OK) == 0; }

}  // namespace

std::string cgroup_dir(const CgroupPlaces& places) {
  std::ifstream in(places.proc_self_cgroup);
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("0::", 0) != 0) continue;
    for (const std::string& root : {places.root, places.root + "/unified"}) {
      std::string dir = root + line.substr(3);
      while (dir.size() > root.size() && dir.back() == '/') dir.pop_back();
      // "/../..": of a container whose name space begins elsewhere.
      if (line.find("/..") == std::string::npos && exists(dir + "/cgroup.controllers")) return dir;
      if (exists(root + "/cgroup.controllers")) return root;
    }
  }
  return {};
}

size_t cgroup_memory_max(const CgroupPlaces& places) {
  size_t limit = read_bytes(places.root + "/memory/memory.limit_in_bytes");
  for (std::string dir = cgroup_dir(places); dir.size() >= places.root.size();) {
    limit = std::min(limit, read_bytes(dir + "/memory.max"));
    const size_t slash = dir.rfind('/');
    if (slash == std::string::npos) break;
    dir.resize(slash);
  }
  return limit;
}

std::string memory_pressure_file(const CgroupPlaces& places) {
  const std::string dir = cgroup_dir(places);
  if (!dir.empty() && exists(dir + "/memory.pressure")) return dir + "/memory.pressure";
  return exists(places.proc_pressure) ? places.proc_pressure : std::string();
}

}  // namespace myfs::mm
