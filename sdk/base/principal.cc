#include "sdk/base/principal.h"

namespace myfs {

Cred Squash::applied_to(Cred claimed) const {
  if (all) return Cred{.uid = anon_uid, .gid = anon_gid, .groups = {}};
  if (!root) return claimed;
  if (claimed.uid == 0) claimed.uid = anon_uid;
  if (claimed.gid == 0) claimed.gid = anon_gid;
  for (uint32_t& group : claimed.groups) {
    if (group == 0) group = anon_gid;
  }
  return claimed;
}

}  // namespace myfs
