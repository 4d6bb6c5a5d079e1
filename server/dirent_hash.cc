#include <bit>
#include <bitset>
#include <cstring>

#include "server/records.h"

namespace myfs::server {
namespace {

uint64_t load_little(const char* bytes, size_t size) {
  uint64_t value = 0;
  std::memcpy(&value, bytes, size);
  return value;
}

struct SipState {
  uint64_t v0, v1, v2, v3;
  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void word(uint64_t value) {
    v3 ^= value;
    round();
    round();
    v0 ^= value;
  }
};

uint64_t siphash(const uint64_t key[2], std::string_view bytes) {
  SipState s{key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
             key[1] ^ 0x7465646279746573};
  size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) s.word(load_little(bytes.data() + at, 8));
  s.word(load_little(bytes.data() + at, bytes.size() - at) | uint64_t{bytes.size()} << 56);
  s.v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) s.round();
  return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

}  // namespace

DirentHasher::DirentHasher(const std::array<uint8_t, 16>& key) {
  std::memcpy(key_, key.data(), sizeof key_);
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
