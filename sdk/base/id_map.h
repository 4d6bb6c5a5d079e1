// IdMap: which ids of a server are which ids of this host, for one mount.
// Kernel counterpart: struct mnt_idmap (fs/mnt_idmapping.c), uid_gid_map (kernel/user_namespace.c).
// Differs: a kind of id without any entry is the same on both sides.
// Thread safety: immutable.
// Invariants: (1) no two extents of a kind overlap, on either side.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/base/cred.h"
#include "sdk/base/kstat.h"
#include "sdk/base/posix_acl.h"
#include "sdk/base/result.h"

namespace myfs {

inline constexpr size_t kIdMapExtentsMax = 340;  // of a kind, as in the kernel

class IdMap {
 public:
  // "u:FS:HOST:COUNT", "g:..." or "b:..." (both), joined by + or blanks. EINVAL.
  static Result<IdMap> parse(std::string_view text);

  // From here to the server; nothing: there is no such id.
  std::optional<uint32_t> uid_in(uint32_t uid) const { return in(uids_, uid); }
  std::optional<uint32_t> gid_in(uint32_t gid) const { return in(gids_, gid); }
  // From the server; what is not mapped is kNobodyId.
  uint32_t uid_out(uint32_t uid) const { return out(uids_, uid); }
  uint32_t gid_out(uint32_t gid) const { return out(gids_, gid); }

  // An id that is not mapped is kNobodyId's, a group is left out.
  Cred cred_in(const Cred& cred) const;
  // Whether what `cred` makes can belong to it [fsuidgid_has_mapping].
  bool has(const Cred& cred) const { return uid_in(cred.uid) && gid_in(cred.gid); }
  void kstat_out(Kstat* stat) const;
  // EINVAL: an id that is not mapped.
  Errno acl_in(PosixAcl* acl) const;
  void acl_out(PosixAcl* acl) const;

  const std::string& text() const { return text_; }

 private:
  struct Extent {
    uint32_t fs, host, count;
  };
  using Extents = std::vector<Extent>;
  static std::optional<uint32_t> in(const Extents& extents, uint32_t id);
  static uint32_t out(const Extents& extents, uint32_t id);
  static bool add(const Extent& extent, Extents* extents);

  Extents uids_, gids_;
  std::string text_;
};

}  // namespace myfs
