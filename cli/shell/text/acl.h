// Acl: POSIX access control lists: the bytes of system.posix_acl_access and
// system.posix_acl_default, the text of acl(5), and the changes that setfacl(1) makes.
// Kernel counterpart: fs/posix_acl.c, linux/posix_acl_xattr.h (version 2, little endian).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace shell {

// In the order in which the kernel wants them.
enum class AclTag : uint16_t {
  kUserObj = 0x01,
  kUser = 0x02,
  kGroupObj = 0x04,
  kGroup = 0x08,
  kMask = 0x10,
  kOther = 0x20,
};
inline constexpr uint32_t kNoAclId = 0xffffffff;  // of all but kUser and kGroup

struct AclEntry {
  AclTag tag;
  uint16_t permissions;  // 4 read, 2 write, 1 execute
  uint32_t id = kNoAclId;
  // x only for directories and for what somebody may execute already: "X" of a change.
  bool conditional_execute = false;
};

class Acl {
 public:
  Acl() = default;
  // user, group and other of a mode.
  static Acl from_mode(mode_t mode);
  // False: these are not the bytes of an ACL.
  static bool decode(std::string_view bytes, Acl* acl);
  std::string encode() const;

  const std::vector<AclEntry>& entries() const { return entries_; }
  bool empty() const { return entries_.empty(); }
  // Whether a mode says it all.
  bool is_minimal() const;
  mode_t mode() const;  // the permission bits that a minimal one stands for
  const AclEntry* find(AclTag tag, uint32_t id = kNoAclId) const;
  void set(const AclEntry& entry);
  // False: there is none.
  bool remove(AclTag tag, uint32_t id = kNoAclId);
  // Only what a mode says stays.
  void remove_extended();
  // Sets the mask to all that the group class grants, if there is a mask or need for one.
  void recalculate_mask();
  // What is missing or twice; empty: the kernel takes it.
  std::string complaint() const;

  // Lines "user:1000:rw-" and so on, each with its newline, `prefix` before each. What the mask
  // takes away is told behind. numeric: ids in place of names.
  std::string text(const std::string& prefix, bool numeric) const;

 private:
  std::vector<AclEntry> entries_;  // sorted by tag and id
};

// One entry of a change.
struct AclChange {
  bool of_default;  // of the directory's default ACL
  AclEntry entry;
};

// "u:joe:rw,g::r,d:o::-": entries of acl(5), long or short, with names or numbers, separated by
// commas. with_permissions false: as setfacl -x takes them, "u:joe,m". False: `error` tells why.
bool parse_acl(const std::string& text, bool with_permissions, std::vector<AclChange>* changes,
               std::string* error);

}  // namespace shell
