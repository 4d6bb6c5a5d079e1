// Cred: on whose behalf a call acts.
// Kernel counterpart: struct cred (include/linux/cred.h): fsuid, fsgid, group_info.  Differs: no
// capabilities but those that uid 0 implies. Thread safety: immutable after construction; shared by
// CredRef.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

namespace myfs {

struct Cred {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups;  // supplementary; at most kGroupsMax

  bool is_root() const { return uid == 0; }
  bool in_group(uint32_t group) const {
    return gid == group || std::find(groups.begin(), groups.end(), group) != groups.end();
  }
  bool operator==(const Cred&) const = default;
};

using CredRef = std::shared_ptr<const Cred>;

}  // namespace myfs
