#include "server/crc32c.h"

#include <array>
#include <cstring>
#include <iterator>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
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

// `crc` is the bare remainder, before the last inversion.
__attribute__((target("sse4.2"))) uint32_t finish(uint64_t crc, const uint8_t* at, size_t size) {
  for (; size >= 8; at += 8, size -= 8) crc = _mm_crc32_u64(crc, load64(at));
  auto tail = static_cast<uint32_t>(crc);
  for (; size > 0; ++at, --size) tail = _mm_crc32_u8(tail, *at);
  return ~tail;
}

__attribute__((target("sse4.2"))) uint32_t crc32c_strips(uint32_t seed,
                                                         std::span<const uint8_t> data) {
  static const ShiftTable table = make_shift_table();
  const uint8_t* at = data.data();
  size_t size = data.size();
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
  return finish(crc, at, size);
}

// Folding: what was read so far is kept as a polynomial of kFold_bytes that has the same remainder.
// To put it in front of the next kFold_bytes, it is multiplied by x^(8 * kFold_bytes), each 64-bit
// half of each lane by a power of x that is reduced to 32 bits already. One load per 64 bytes is in
// order, which the processor fetches ahead; three strips are not.
constexpr size_t kLanes = 4;
constexpr size_t kFold_bytes = kLanes * sizeof(__m512i);

// x^bits modulo the polynomial. One to the left, since the product of two reflected numbers lies
// one to the right.
constexpr uint64_t power_of_x(int bits) {
  uint32_t power = uint32_t{1} << 31;
  for (; bits > 0; --bits) power = (power >> 1) ^ ((power & 1) != 0 ? kPolynomial : 0);
  return uint64_t{power} << 1;
}
struct Shift {
  uint64_t low, high;  // of the two halves of 16 bytes: the first one is the farther from the end
};
constexpr Shift shift_by(size_t bytes) {
  const int bits = static_cast<int>(bytes) * 8;
  return {power_of_x(bits + 32), power_of_x(bits - 32)};
}
constexpr Shift kFold = shift_by(kFold_bytes), kLane = shift_by(sizeof(__m512i)),
                kPart = shift_by(sizeof(__m128i));

#define MYFS_FOLDS __attribute__((target("sse4.2,pclmul,avx512f,vpclmulqdq")))

MYFS_FOLDS inline __m512i in_each_part(const Shift& shift) {
  const auto low = static_cast<int64_t>(shift.low), high = static_cast<int64_t>(shift.high);
  return _mm512_set_epi64(high, low, high, low, high, low, high, low);
}
MYFS_FOLDS inline __m512i fold(__m512i before, __m512i by, __m512i next) {
  constexpr int kXorOfThree = 0x96;
  return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(before, by, 0x00),
                                   _mm512_clmulepi64_epi128(before, by, 0x11), next, kXorOfThree);
}
MYFS_FOLDS inline __m128i fold(__m128i before, __m128i by, __m128i next) {
  __m128i product =
      _mm_xor_si128(_mm_clmulepi64_si128(before, by, 0x00), _mm_clmulepi64_si128(before, by, 0x11));
  return _mm_xor_si128(product, next);
}

MYFS_FOLDS uint32_t crc32c_folds(uint32_t seed, std::span<const uint8_t> data) {
  if (data.size() < 2 * kFold_bytes) return crc32c_strips(seed, data);
  const uint8_t* at = data.data();
  size_t size = data.size();
  __m512i lane[kLanes];
  for (size_t i = 0; i < kLanes; ++i) lane[i] = _mm512_loadu_si512(at + i * sizeof(__m512i));
  lane[0] = _mm512_xor_si512(lane[0], _mm512_zextsi128_si512(_mm_set_epi64x(0, ~seed)));
  const __m512i by = in_each_part(kFold);
  for (at += kFold_bytes, size -= kFold_bytes; size >= kFold_bytes;
       at += kFold_bytes, size -= kFold_bytes) {
    for (size_t i = 0; i < kLanes; ++i) {
      lane[i] = fold(lane[i], by, _mm512_loadu_si512(at + i * sizeof(__m512i)));
    }
  }
  for (size_t i = 1; i < kLanes; ++i) lane[i] = fold(lane[i - 1], in_each_part(kLane), lane[i]);
  alignas(__m512i) __m128i part[sizeof(__m512i) / sizeof(__m128i)];
  _mm512_store_si512(part, lane[kLanes - 1]);
  const __m128i by_part =
      _mm_set_epi64x(static_cast<int64_t>(kPart.high), static_cast<int64_t>(kPart.low));
  __m128i rest = part[0];
  for (size_t i = 1; i < std::size(part); ++i) rest = fold(rest, by_part, part[i]);
  uint64_t crc = _mm_crc32_u64(0, static_cast<uint64_t>(_mm_cvtsi128_si64(rest)));
  crc = _mm_crc32_u64(crc, static_cast<uint64_t>(_mm_extract_epi64(rest, 1)));
  return finish(crc, at, size);
}
#undef MYFS_FOLDS
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

std::span<const Crc32cMethod> crc32c_methods() {
  static const std::vector<Crc32cMethod> methods = [] {
    std::vector<Crc32cMethod> found{{"software", crc32c_software}};
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
      found.push_back({"strips", crc32c_strips});
      bool folds = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("avx512f") &&
                   __builtin_cpu_supports("vpclmulqdq");
      if (folds) found.push_back({"folds", crc32c_folds});
    }
#endif
    return found;
  }();
  return methods;
}

uint32_t crc32c_extend(uint32_t crc, std::span<const uint8_t> data) {
  static const Crc32cFunction best = crc32c_methods().back().extend;
  return best(crc, data);
}

}  // namespace myfs::server
