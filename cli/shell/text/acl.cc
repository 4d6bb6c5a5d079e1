#include "cli/shell/text/acl.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "cli/shell/text/format.h"

namespace shell {
namespace {

constexpr uint32_t kVersion = 2;
constexpr size_t kHeader_bytes = 4, kEntry_bytes = 8;

uint32_t read_little(std::string_view bytes, size_t count) {
  uint32_t value = 0;
  for (size_t i = count; i > 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[i - 1]);
  return value;
}

void append_little(std::string* bytes, uint32_t value, size_t count) {
  for (size_t i = 0; i < count; ++i) bytes->push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

bool is_known(uint32_t tag) {
  return tag != 0 && tag <= static_cast<uint32_t>(AclTag::kOther) && (tag & (tag - 1)) == 0;
}

bool has_id(AclTag tag) { return tag == AclTag::kUser || tag == AclTag::kGroup; }

// The mask bounds these.
bool in_group_class(AclTag tag) {
  return tag == AclTag::kUser || tag == AclTag::kGroupObj || tag == AclTag::kGroup;
}

bool before(const AclEntry& a, const AclEntry& b) {
  return std::pair(a.tag, a.id) < std::pair(b.tag, b.id);
}

std::string permission_text(uint16_t permissions) {
  std::string text = "rwx";
  for (size_t i = 0; i < 3; ++i) {
    if ((permissions & (4u >> i)) == 0) text[i] = '-';
  }
  return text;
}

std::string title(const AclEntry& entry, bool numeric) {
  switch (entry.tag) {
    case AclTag::kUserObj:
      return "user::";
    case AclTag::kUser:
      return "user:" + (numeric ? std::to_string(entry.id) : user_text(entry.id)) + ":";
    case AclTag::kGroupObj:
      return "group::";
    case AclTag::kGroup:
      return "group:" + (numeric ? std::to_string(entry.id) : group_text(entry.id)) + ":";
    case AclTag::kMask:
      return "mask::";
    case AclTag::kOther:
      return "other::";
  }
  return "";
}

std::string entry_line(const AclEntry& entry, const std::string& prefix, bool numeric,
                       uint16_t mask) {
  std::string line = prefix + title(entry, numeric) + permission_text(entry.permissions);
  uint16_t effective = entry.permissions & mask;
  if (!in_group_class(entry.tag) || effective == entry.permissions) return line + "\n";
  return line + "\t#effective:" + permission_text(effective) + "\n";
}

}  // namespace

Acl Acl::from_mode(mode_t mode) {
  Acl acl;
  acl.set({AclTag::kUserObj, static_cast<uint16_t>(mode >> 6 & 7)});
  acl.set({AclTag::kGroupObj, static_cast<uint16_t>(mode >> 3 & 7)});
  acl.set({AclTag::kOther, static_cast<uint16_t>(mode & 7)});
  return acl;
}

bool Acl::decode(std::string_view bytes, Acl* acl) {
  *acl = Acl();
  if (bytes.size() < kHeader_bytes || (bytes.size() - kHeader_bytes) % kEntry_bytes != 0 ||
      read_little(bytes, 4) != kVersion) {
    return false;
  }
  for (bytes.remove_prefix(kHeader_bytes); !bytes.empty(); bytes.remove_prefix(kEntry_bytes)) {
    uint32_t tag = read_little(bytes, 2), permissions = read_little(bytes.substr(2), 2);
    if (!is_known(tag) || permissions > 7) return false;
    AclEntry entry{static_cast<AclTag>(tag), static_cast<uint16_t>(permissions)};
    if (has_id(entry.tag)) entry.id = read_little(bytes.substr(4), 4);
    if (acl->find(entry.tag, entry.id) != nullptr) return false;
    acl->set(entry);
  }
  return true;
}

std::string Acl::encode() const {
  std::string bytes;
  append_little(&bytes, kVersion, 4);
  for (const AclEntry& entry : entries_) {
    append_little(&bytes, static_cast<uint32_t>(entry.tag), 2);
    append_little(&bytes, entry.permissions, 2);
    append_little(&bytes, entry.id, 4);
  }
  return bytes;
}

bool Acl::is_minimal() const {
  return std::none_of(entries_.begin(), entries_.end(), [](const AclEntry& entry) {
    return has_id(entry.tag) || entry.tag == AclTag::kMask;
  });
}

mode_t Acl::mode() const {
  mode_t mode = 0;
  for (const AclEntry& entry : entries_) {
    int shift = entry.tag == AclTag::kUserObj ? 6 : entry.tag == AclTag::kGroupObj ? 3 : 0;
    mode |= static_cast<mode_t>(entry.permissions) << shift;
  }
  return mode;
}

const AclEntry* Acl::find(AclTag tag, uint32_t id) const {
  for (const AclEntry& entry : entries_) {
    if (entry.tag == tag && entry.id == id) return &entry;
  }
  return nullptr;
}

void Acl::set(const AclEntry& entry) {
  remove(entry.tag, entry.id);
  entries_.insert(std::lower_bound(entries_.begin(), entries_.end(), entry, before), entry);
}

bool Acl::remove(AclTag tag, uint32_t id) {
  return std::erase_if(entries_, [&](const AclEntry& entry) {
           return entry.tag == tag && entry.id == id;
         }) > 0;
}

void Acl::remove_extended() {
  const AclEntry* mask = find(AclTag::kMask);
  const AclEntry* group = find(AclTag::kGroupObj);
  if (mask != nullptr && group != nullptr) {
    set({AclTag::kGroupObj, static_cast<uint16_t>(group->permissions & mask->permissions)});
  }
  std::erase_if(entries_, [](const AclEntry& entry) {
    return has_id(entry.tag) || entry.tag == AclTag::kMask;
  });
}

void Acl::recalculate_mask() {
  if (is_minimal()) return;
  uint16_t granted = 0;
  for (const AclEntry& entry : entries_) {
    if (in_group_class(entry.tag)) granted |= entry.permissions;
  }
  set({AclTag::kMask, granted});
}

std::string Acl::complaint() const {
  for (AclTag tag : {AclTag::kUserObj, AclTag::kGroupObj, AclTag::kOther}) {
    if (find(tag) == nullptr) return "no entry " + title({tag, 0}, true);
  }
  if (!is_minimal() && find(AclTag::kMask) == nullptr) return "no entry mask::";
  return {};
}

std::string Acl::text(const std::string& prefix, bool numeric) const {
  const AclEntry* mask = find(AclTag::kMask);
  std::string text;
  for (const AclEntry& entry : entries_) {
    text += entry_line(entry, prefix, numeric, mask != nullptr ? mask->permissions : 7);
  }
  return text;
}

}  // namespace shell
