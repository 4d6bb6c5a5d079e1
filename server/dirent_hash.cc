#include <bitset>
#include <cstring>

#include "server/records.h"

namespace myfs::server {
DirentHasher::DirentHasher(const std::array<uint8_t, 16>& key) {
  std::memcpy(key_.data(), key.data(), sizeof key_);
}

uint64_t DirentHasher::first_cookie(std::string_view name) const {
  uint64_t hash = siphash(key_, name) >> 8;
  return (hash == 0 ? 1 : hash) * kCookieCollisions;
}

Result<std::optional<FoundDirent>> find_dirent(const ReadView& view, const DirentHasher& hasher,
                                               uint64_t dir, std::string_view name) {
  const uint64_t first = hasher.first_cookie(name);
  std::optional<FoundDirent> found;
  Errno damaged;
  Result<void> scanned =
      view.scan(dirent_key(dir, first, ""), dirent_key(dir, first + kCookieCollisions, ""), 0,
                [&](std::string_view key, std::string_view value) {
                  auto parsed = parse_dirent_key(key);
                  if (!parsed.ok() || parsed->name != name) return true;
                  auto record = DirentRecord::decode(value);
                  if (record.ok()) {
                    found = FoundDirent{parsed->cookie, *record};
                  } else {
                    damaged = record.error();
                  }
                  return false;
                });
  MYFS_TRY(scanned);
  if (!damaged.ok()) return damaged;
  return found;
}

Result<uint64_t> free_cookie(const ReadView& view, const DirentHasher& hasher, uint64_t dir,
                             std::string_view name) {
  const uint64_t first = hasher.first_cookie(name);
  std::bitset<kCookieCollisions> taken;
  MYFS_TRY(view.scan(dirent_key(dir, first, ""), dirent_key(dir, first + kCookieCollisions, ""), 0,
                     [&](std::string_view key, std::string_view) {
                       auto parsed = parse_dirent_key(key);
                       if (parsed.ok()) taken.set(parsed->cookie - first);
                       return true;
                     }));
  for (uint64_t index = 0; index < kCookieCollisions; ++index) {
    if (!taken.test(index)) return first + index;
  }
  return Errno(ENOSPC);
}

}  // namespace myfs::server
