// Name_hash: finds the end of a path's component and its hash in one pass, eight bytes at a time.
// Kernel counterpart: hash_name, dentry_string_cmp (fs/namei.c, fs/dcache.c).
// Thread safety: pure functions. Reads not a byte beyond the text it is given.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace myfs::fs {

namespace name_hash_internal {

inline uint64_t load64(const char* p) {
  uint64_t word;
  std::memcpy(&word, p, 8);
  return word;
}

// The first `n` < 8 bytes, the rest zero: two loads that may overlap.
inline uint64_t load_tail(const char* p, size_t n) {
  if (n >= 4) {
    uint32_t low, high;
    std::memcpy(&low, p, 4);
    std::memcpy(&high, p + n - 4, 4);
    return low | uint64_t{high} << (8 * (n - 4));
  }
  if (n >= 2) {
    uint16_t low, high;
    std::memcpy(&low, p, 2);
    std::memcpy(&high, p + n - 2, 2);
    return low | uint64_t{high} << (8 * (n - 2));
  }
  return n == 1 ? static_cast<unsigned char>(*p) : 0;
}

inline uint64_t step(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * 0xd6e8feb86659fd93u;
  return hash ^ (hash >> 29);
}

inline uint32_t finish(uint64_t hash, size_t size) {
  hash += size * 0x9e3779b97f4a7c15u;
  return static_cast<uint32_t>(hash ^ (hash >> 32));
}

// A bit at the top of the lowest byte that is a slash; higher ones may be wrong.
inline uint64_t slashes(uint64_t word) {
  uint64_t x = word ^ 0x2f2f2f2f2f2f2f2fu;
  return (x - 0x0101010101010101u) & ~x & 0x8080808080808080u;
}

}  // namespace name_hash_internal

static_assert(std::endian::native == std::endian::little);

struct ScannedName {
  size_t size;
  uint32_t hash;
};

// The bytes of `path` before its first slash.
inline ScannedName scan_component(std::string_view path) {
  using namespace name_hash_internal;
  const char* p = path.data();
  uint64_t hash = 0;
  for (size_t at = 0;; at += 8) {
    const size_t left = path.size() - at;
    uint64_t word = left >= 8 ? load64(p + at) : load_tail(p + at, left);
    if (uint64_t found = slashes(word); found != 0) {
      const size_t n = static_cast<size_t>(std::countr_zero(found)) / 8;
      if (n != 0) hash = step(hash, word & (~uint64_t{0} >> (64 - 8 * n)));
      return {at + n, finish(hash, at + n)};
    }
    if (left < 8) {
      if (left != 0) hash = step(hash, word);
      return {path.size(), finish(hash, path.size())};
    }
    hash = step(hash, word);
  }
}

// The same hash, of a name that has no slash.
inline uint32_t d_hash_name(std::string_view name) {
  using namespace name_hash_internal;
  const char* p = name.data();
  size_t left = name.size();
  uint64_t hash = 0;
  for (; left >= 8; left -= 8, p += 8) hash = step(hash, load64(p));
  if (left != 0) hash = step(hash, load_tail(p, left));
  return finish(hash, name.size());
}

// Memory for a name that is compared word by word.
inline size_t padded_name_size(size_t size) { return (size + 7) & ~size_t{7}; }

// `padded`: as many bytes, and zeros up to padded_name_size.
inline bool padded_name_equals(const char* padded, std::string_view name) {
  using namespace name_hash_internal;
  const char* p = name.data();
  size_t left = name.size();
  for (; left >= 8; left -= 8, p += 8, padded += 8) {
    if (load64(p) != load64(padded)) return false;
  }
  return left == 0 || load_tail(p, left) == load64(padded);
}

}  // namespace myfs::fs
