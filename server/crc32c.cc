#include "server/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace myfs::server {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // reflected

using Tables = std::array<std::array<uint32_t, 256>, 8>;

constexpr Tables make_tables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t byte = 0; byte < 256; ++byte) {
    for (size_t k = 1; k < 8; ++k) {
      uint32_t crc = tables[k - 1][byte];
      tables[k][byte] = (crc >> 8) ^ tables[0][crc & 0xff];
    }
  }
  return tables;
}
constexpr Tables kTables = make_tables();

uint64_t load64(const uint8_t* bytes) {
  uint64_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

#if defined(__x86_64__)
// The instruction takes three cycles but a new one can start each cycle: three strips of a run are
// summed side by side, then joined. Joining shifts a sum over kStrip zero bytes, which is linear
// over GF(2) and so a table look-up per byte.
constexpr size_t kStrip_bytes = 2048;
using ShiftTable = std::array<std::array<uint32_t, 256>, 4>;

constexpr uint32_t shift_one(uint32_t crc, size_t zero_bytes) {
  for (size_t i = 0; i < zero_bytes; ++i) crc = (crc >> 8) ^ kTables[0][crc & 0xff];
  return crc;
}

ShiftTable make_shift_table() {
  std::array<uint32_t, 32> column{};
  for (int bit = 0; bit < 32; ++bit) column[bit] = shift_one(uint32_t{1} << bit, kStrip_bytes);
  ShiftTable table{};
  for (int byte = 0; byte < 4; ++byte) {
    for (uint32_t value = 0; value < 256; ++value) {
      for (int bit = 0; bit < 8; ++bit) {
        if ((value >> bit & 1) != 0) table[byte][value] ^= column[byte * 8 + bit];
      }
    }
  }
  return table;
}

uint32_t shift_strip(const ShiftTable& table, uint32_t crc) {
  return table[0][crc & 0xff] ^ table[1][crc >> 8 & 0xff] ^ table[2][crc >> 16 & 0xff] ^
         table[3][crc >> 24];
}

__attribute__((target("sse4.2"))) uint32_t crc32c_hardware(uint32_t seed, const uint8_t* at,
                                                           size_t size) {
  static const ShiftTable table = make_shift_table();
  uint64_t crc = ~seed;
  while (size >= 3 * kStrip_bytes) {
    uint64_t second = 0, third = 0;
    for (size_t i = 0; i < kStrip_bytes; i += 8) {
      crc = _mm_crc32_u64(crc, load64(at + i));
      second = _mm_crc32_u64(second, load64(at + kStrip_bytes + i));
      third = _mm_crc32_u64(third, load64(at + 2 * kStrip_bytes + i));
    }
    crc = shift_strip(table, static_cast<uint32_t>(crc)) ^ second;
    crc = shift_strip(table, static_cast<uint32_t>(crc)) ^ third;
    at += 3 * kStrip_bytes;
    size -= 3 * kStrip_bytes;
  }
  for (; size >= 8; at += 8, size -= 8) crc = _mm_crc32_u64(crc, load64(at));
  auto tail = static_cast<uint32_t>(crc);
  for (; size > 0; ++at, --size) tail = _mm_crc32_u8(tail, *at);
  return ~tail;
}
#endif

}  // namespace

uint32_t crc32c_software(uint32_t crc, std::span<const uint8_t> data) {
  crc = ~crc;
  const uint8_t* at = data.data();
  size_t size = data.size();
  for (; size >= 8; at += 8, size -= 8) {
    uint64_t word = load64(at) ^ crc;
    crc = 0;
    for (int byte = 0; byte < 8; ++byte) crc ^= kTables[7 - byte][word >> (8 * byte) & 0xff];
  }
  for (; size > 0; ++at, --size) crc = (crc >> 8) ^ kTables[0][(crc ^ *at) & 0xff];
  return ~crc;
}

uint32_t crc32c_extend(uint32_t crc, std::span<const uint8_t> data) {
#if defined(__x86_64__)
  static const bool hardware = __builtin_cpu_supports("sse4.2");
  if (hardware) return crc32c_hardware(crc, data.data(), data.size());
#endif
  return crc32c_software(crc, data);
}

}  // namespace myfs::server
