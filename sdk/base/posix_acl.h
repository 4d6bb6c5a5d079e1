// PosixAcl: an access control list of POSIX.1e: what owner, named users, groups and others may do.
// Kernel counterpart: struct posix_acl, fs/posix_acl.c.  Differs: a value; an empty list means that
// there is none, and mode bits alone decide.
// Thread safety: a value.
// Invariants: (1) of a list that valid() accepts: the entries stand in the order of their tags, and
// a named entry needs a mask.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/base/cred.h"
#include "sdk/base/errno.h"
#include "sdk/base/result.h"

namespace myfs {

// The numbers of the xattr's format.
enum class AclTag : uint16_t {
  kUserObj = 1,
  kUser = 2,
  kGroupObj = 4,
  kGroup = 8,
  kMask = 16,
  kOther = 32,
};

inline constexpr uint32_t kAclNoId = UINT32_MAX;  // of the entries that name nobody

struct AclEntry {
  AclTag tag = AclTag::kOther;
  uint16_t perm = 0;  // read 4, write 2, execute 1
  uint32_t id = kAclNoId;
  bool operator==(const AclEntry&) const = default;
};

inline constexpr std::string_view kXattrAclAccess = "system.posix_acl_access";
inline constexpr std::string_view kXattrAclDefault = "system.posix_acl_default";
inline bool is_posix_acl_xattr(std::string_view name) {
  return name == kXattrAclAccess || name == kXattrAclDefault;
}

class PosixAcl {
 public:
  PosixAcl() = default;
  explicit PosixAcl(std::vector<AclEntry> entries) : entries_(std::move(entries)) {}

  bool empty() const { return entries_.empty(); }
  const std::vector<AclEntry>& entries() const { return entries_; }
  // For those who map ids.
  std::vector<AclEntry>& entries() { return entries_; }

  // The kernel's format of an xattr, version 2. Nothing, or a header alone: no list. EOPNOTSUPP:
  // another version. EINVAL: a size that fits no entries, an unknown tag, no id where one must be.
  static Result<PosixAcl> from_xattr(std::string_view value);
  // The same of a source that must not be wrong: also EINVAL if it is not valid(), or longer than
  // kAclEntriesMax.
  static Result<PosixAcl> decode(std::string_view value);
  // "" for no list.
  std::string to_xattr() const;
  // EINVAL: not a list that could be evaluated (invariant 1).
  Errno valid() const;

  // The permission bits of `*mode` become those that the list stands for. True: the bits say all.
  bool equiv_mode(uint32_t* mode) const;
  // EACCES, or 0; by the list alone, whoever asks. `want`: read 4, write 2, execute 1. The list is
  // valid.
  Errno permission(const Cred& cred, uint32_t uid, uint32_t gid, uint32_t want) const;
  // A directory's default list becomes the list of something new in it that is made with `*mode`,
  // and the mode what the two have in common. True: the bits say all.
  bool create_masq(uint32_t* mode);
  // After a chmod to `mode`.
  void chmod_masq(uint32_t mode);

  bool operator==(const PosixAcl&) const = default;

 private:
  // The entry that the mode's group bits stand for; null: none.
  AclEntry* group_class();
  bool granted(size_t entry, uint32_t want) const;

  std::vector<AclEntry> entries_;
};

}  // namespace myfs
