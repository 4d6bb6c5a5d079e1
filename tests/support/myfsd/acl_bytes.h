// acl_bytes: an access control list in the kernel's format of an xattr, valid or not.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace myfs::test {

inline constexpr char kAclAccess[] = "system.posix_acl_access";
inline constexpr char kAclDefault[] = "system.posix_acl_default";

// tag: 1 owner, 2 user, 4 owning group, 8 group, 16 mask, 32 other.
struct AclItem {
  uint16_t tag;
  uint16_t perm;
  uint32_t id = UINT32_MAX;
};

inline std::string acl_bytes(const std::vector<AclItem>& items) {
  std::string bytes("\2\0\0\0", 4);
  auto put = [&](uint32_t value, int size) {
    for (int i = 0; i < size; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
  };
  for (const AclItem& item : items) {
    put(item.tag, 2);
    put(item.perm, 2);
    put(item.id, 4);
  }
  return bytes;
}

}  // namespace myfs::test
