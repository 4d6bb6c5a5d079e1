#include "sdk/base/id_map.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "sdk/base/principal.h"

namespace myfs {

namespace {

// The part of *text before `separator`, which goes with it.
std::string_view cut(std::string_view* text, std::string_view separators) {
  const size_t size = std::min(text->find_first_of(separators), text->size());
  const std::string_view part = text->substr(0, size);
  text->remove_prefix(std::min(size + 1, text->size()));
  return part;
}

bool number(std::string_view text, uint32_t* out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

bool overlap(uint32_t a, uint32_t b, uint32_t a_count, uint32_t b_count) {
  return a < uint64_t{b} + b_count && b < uint64_t{a} + a_count;
}

}  // namespace

bool IdMap::add(const Extent& extent, Extents* extents) {
  // The last id of all means "none".
  const auto fits = [&](uint32_t first) { return uint64_t{first} + extent.count <= UINT32_MAX; };
  if (extent.count == 0 || !fits(extent.fs) || !fits(extent.host)) return false;
  for (const Extent& other : *extents) {
    if (overlap(extent.fs, other.fs, extent.count, other.count)) return false;
    if (overlap(extent.host, other.host, extent.count, other.count)) return false;
  }
  extents->push_back(extent);
  return extents->size() <= kIdMapExtentsMax;
}

Result<IdMap> IdMap::parse(std::string_view text) {
  if (text.ends_with('+') || text.ends_with(' ')) return Errno(EINVAL);
  IdMap map;
  map.text_ = std::string(text);
  std::replace(map.text_.begin(), map.text_.end(), ' ', '+');
  do {
    std::string_view entry = cut(&text, "+ ");
    const std::string_view kind = cut(&entry, ":");
    Extent extent{};
    std::array<uint32_t*, 3> fields{&extent.fs, &extent.host, &extent.count};
    for (uint32_t* field : fields) {
      if (!number(cut(&entry, ":"), field)) return Errno(EINVAL);
    }
    const bool uids = kind == "u" || kind == "b", gids = kind == "g" || kind == "b";
    if (!entry.empty() || !(uids || gids)) return Errno(EINVAL);
    if (uids && !add(extent, &map.uids_)) return Errno(EINVAL);
    if (gids && !add(extent, &map.gids_)) return Errno(EINVAL);
  } while (!text.empty());
  return map;
}

std::optional<uint32_t> IdMap::in(const Extents& extents, uint32_t id) {
  if (extents.empty()) return id;
  for (const Extent& extent : extents) {
    if (id >= extent.host && id - extent.host < extent.count) return extent.fs + (id - extent.host);
  }
  return std::nullopt;
}

uint32_t IdMap::out(const Extents& extents, uint32_t id) {
  if (extents.empty()) return id;
  for (const Extent& extent : extents) {
    if (id >= extent.fs && id - extent.fs < extent.count) return extent.host + (id - extent.fs);
  }
  return kNobodyId;
}

Cred IdMap::cred_in(const Cred& cred) const {
  Cred mapped{uid_in(cred.uid).value_or(kNobodyId), gid_in(cred.gid).value_or(kNobodyId), {}};
  for (uint32_t group : cred.groups) {
    if (std::optional<uint32_t> id = gid_in(group); id.has_value()) mapped.groups.push_back(*id);
  }
  return mapped;
}

void IdMap::kstat_out(Kstat* stat) const {
  stat->uid = uid_out(stat->uid);
  stat->gid = gid_out(stat->gid);
}

Errno IdMap::acl_in(PosixAcl* acl) const {
  for (AclEntry& entry : acl->entries()) {
    const bool user = entry.tag == AclTag::kUser, group = entry.tag == AclTag::kGroup;
    if (!user && !group) continue;
    const std::optional<uint32_t> id = user ? uid_in(entry.id) : gid_in(entry.id);
    if (!id.has_value()) return Errno(EINVAL);
    entry.id = *id;
  }
  return Errno();
}

void IdMap::acl_out(PosixAcl* acl) const {
  for (AclEntry& entry : acl->entries()) {
    if (entry.tag == AclTag::kUser) entry.id = uid_out(entry.id);
    if (entry.tag == AclTag::kGroup) entry.id = gid_out(entry.id);
  }
}

}  // namespace myfs
