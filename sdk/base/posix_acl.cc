#include "sdk/base/posix_acl.h"

#include <algorithm>
#include <cstring>

#include "sdk/base/limits.h"

namespace myfs {
namespace {

constexpr uint32_t kXattrVersion = 2;
constexpr size_t kHeader_bytes = 4, kEntry_bytes = 8;
constexpr uint32_t kRwx = 7;

bool names_somebody(AclTag tag) { return tag == AclTag::kUser || tag == AclTag::kGroup; }

template <typename T>
T get_little(std::string_view bytes) {
  T value = 0;
  for (size_t i = sizeof(T); i-- > 0;) {
    value = static_cast<T>(value << 8 | static_cast<uint8_t>(bytes[i]));
  }
  return value;
}

template <typename T>
void put_little(std::string& out, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) out.push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

bool is_tag(uint16_t number) {
  constexpr uint16_t kAll = 1 | 2 | 4 | 8 | 16 | 32;
  return (number & kAll) == number && (number & (number - 1)) == 0 && number != 0;
}

// Leaves of three bits of the mode and a perm what both have.
void meet(uint16_t* perm, uint32_t* mode, unsigned shift) {
  *perm &= static_cast<uint16_t>(*mode >> shift & kRwx);
  *mode &= ~(kRwx << shift) | uint32_t{*perm} << shift;
}

}  // namespace

Result<PosixAcl> PosixAcl::from_xattr(std::string_view value) {
  if (value.empty()) return PosixAcl();
  if (value.size() < kHeader_bytes) return Errno(EINVAL);
  if (get_little<uint32_t>(value) != kXattrVersion) return Errno(EOPNOTSUPP);
  value.remove_prefix(kHeader_bytes);
  if (value.size() % kEntry_bytes != 0) return Errno(EINVAL);
  std::vector<AclEntry> entries;
  entries.reserve(value.size() / kEntry_bytes);
  for (; !value.empty(); value.remove_prefix(kEntry_bytes)) {
    const auto number = get_little<uint16_t>(value);
    if (!is_tag(number)) return Errno(EINVAL);
    AclEntry entry{.tag = static_cast<AclTag>(number),
                   .perm = get_little<uint16_t>(value.substr(2))};
    if (names_somebody(entry.tag)) {
      entry.id = get_little<uint32_t>(value.substr(4));
      if (entry.id == kAclNoId) return Errno(EINVAL);
    }
    entries.push_back(entry);
  }
  return PosixAcl(std::move(entries));
}

Result<PosixAcl> PosixAcl::decode(std::string_view value) {
  MYFS_ASSIGN(PosixAcl list, from_xattr(value));
  const bool good = list.empty() || (list.valid().ok() && list.entries().size() <= kAclEntriesMax);
  if (!good) return Errno(EINVAL);
  return list;
}

std::string PosixAcl::to_xattr() const {
  std::string value;
  if (empty()) return value;
  value.reserve(kHeader_bytes + entries_.size() * kEntry_bytes);
  put_little(value, kXattrVersion);
  for (const AclEntry& entry : entries_) {
    put_little(value, static_cast<uint16_t>(entry.tag));
    put_little(value, entry.perm);
    put_little(value, entry.id);
  }
  return value;
}

Errno PosixAcl::valid() const {
  AclTag next = AclTag::kUserObj;  // the smallest tag that may come
  bool needs_mask = false, complete = false;
  for (const AclEntry& entry : entries_) {
    if ((entry.perm & ~kRwx) != 0 || complete) return Errno(EINVAL);
    switch (entry.tag) {
      case AclTag::kUserObj:
        if (next != AclTag::kUserObj) return Errno(EINVAL);
        next = AclTag::kUser;
        break;
      case AclTag::kUser:
        if (next != AclTag::kUser) return Errno(EINVAL);
        needs_mask = true;
        break;
      case AclTag::kGroupObj:
        if (next != AclTag::kUser) return Errno(EINVAL);
        next = AclTag::kGroup;
        break;
      case AclTag::kGroup:
        if (next != AclTag::kGroup) return Errno(EINVAL);
        needs_mask = true;
        break;
      case AclTag::kMask:
        if (next != AclTag::kGroup) return Errno(EINVAL);
        next = AclTag::kOther;
        break;
      case AclTag::kOther:
        if (next != AclTag::kOther && (next != AclTag::kGroup || needs_mask)) return Errno(EINVAL);
        complete = true;
        break;
    }
  }
  return complete ? Errno() : Errno(EINVAL);
}

bool PosixAcl::equiv_mode(uint32_t* mode) const {
  uint32_t user = 0, group = 0, other = 0;
  bool equivalent = true;
  for (const AclEntry& entry : entries_) {
    switch (entry.tag) {
      case AclTag::kUserObj:
        user = entry.perm;
        break;
      case AclTag::kGroupObj:
        group = entry.perm;
        break;
      case AclTag::kMask:
        group = entry.perm;
        equivalent = false;
        break;
      case AclTag::kOther:
        other = entry.perm;
        break;
      case AclTag::kUser:
      case AclTag::kGroup:
        equivalent = false;
        break;
    }
  }
  *mode = (*mode & ~uint32_t{0777}) | (user & kRwx) << 6 | (group & kRwx) << 3 | (other & kRwx);
  return equivalent;
}

// Of a named entry or the owning group: as far as the mask lets it.
bool PosixAcl::granted(size_t entry, uint32_t want) const {
  uint32_t perm = entries_[entry].perm;
  for (size_t i = entry + 1; i < entries_.size(); ++i) {
    if (entries_[i].tag == AclTag::kMask) perm &= entries_[i].perm;
  }
  return (perm & want) == want;
}

Errno PosixAcl::permission(const Cred& cred, uint32_t uid, uint32_t gid, uint32_t want) const {
  want &= kRwx;
  auto verdict = [](bool allowed) { return allowed ? Errno() : Errno(EACCES); };
  bool in_some_group = false;
  for (size_t i = 0; i < entries_.size(); ++i) {
    const AclEntry& entry = entries_[i];
    switch (entry.tag) {
      case AclTag::kUserObj:
        if (cred.uid == uid) return verdict((entry.perm & want) == want);
        break;
      case AclTag::kUser:
        if (cred.uid == entry.id) return verdict(granted(i, want));
        break;
      case AclTag::kGroupObj:
      case AclTag::kGroup:
        // One of the groups must grant all of it; the rights of several do not add up.
        if (!cred.in_group(entry.tag == AclTag::kGroupObj ? gid : entry.id)) break;
        in_some_group = true;
        if ((entry.perm & want) == want) return verdict(granted(i, want));
        break;
      case AclTag::kMask:
        break;
      case AclTag::kOther:
        return verdict(!in_some_group && (entry.perm & want) == want);
    }
  }
  return Errno(EACCES);
}

AclEntry* PosixAcl::group_class() {
  AclEntry* found = nullptr;
  for (AclEntry& entry : entries_) {
    if (entry.tag == AclTag::kMask) return &entry;
    if (entry.tag == AclTag::kGroupObj) found = &entry;
  }
  return found;
}

bool PosixAcl::create_masq(uint32_t* mode) {
  bool equivalent = true;
  for (AclEntry& entry : entries_) {
    if (entry.tag == AclTag::kUserObj) meet(&entry.perm, mode, 6);
    if (entry.tag == AclTag::kOther) meet(&entry.perm, mode, 0);
    if (names_somebody(entry.tag) || entry.tag == AclTag::kMask) equivalent = false;
  }
  if (AclEntry* group = group_class(); group != nullptr) meet(&group->perm, mode, 3);
  return equivalent;
}

void PosixAcl::chmod_masq(uint32_t mode) {
  for (AclEntry& entry : entries_) {
    if (entry.tag == AclTag::kUserObj) entry.perm = static_cast<uint16_t>(mode >> 6 & kRwx);
    if (entry.tag == AclTag::kOther) entry.perm = static_cast<uint16_t>(mode & kRwx);
  }
  if (AclEntry* group = group_class(); group != nullptr)
    group->perm = static_cast<uint16_t>(mode >> 3 & kRwx);
}

}  // namespace myfs
