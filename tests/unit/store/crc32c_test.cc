#include "server/crc32c.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sdk/base/random.h"

namespace myfs::server {
namespace {

std::span<const uint8_t> bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

TEST(Crc32c, known_answers) {
  // RFC 3720, appendix B.4.
  EXPECT_EQ(crc32c(bytes("")), 0u);
  EXPECT_EQ(crc32c(bytes("123456789")), 0xe3069283u);
  EXPECT_EQ(crc32c(bytes(std::string(32, '\0'))), 0x8a9136aau);
  EXPECT_EQ(crc32c(bytes(std::string(32, '\xff'))), 0x62a8ab43u);
}

TEST(Crc32c, every_method_agrees_on_every_length) {
  std::vector<uint8_t> data(70'000);
  random_bytes(data.data(), data.size());
  uint32_t expected = 0;  // of the bytes before `size`
  for (size_t size = 0; size <= 1100; ++size) {
    for (const Crc32cMethod& method : crc32c_methods()) {
      ASSERT_EQ(method.extend(0, {data.data(), size}), expected) << method.name << ", " << size;
    }
    expected = crc32c_software(expected, {data.data() + size, 1});
  }
  for (size_t size : {2047, 6143, 6144, 6145, 12'288, 65'535, 65'536, 70'000}) {
    std::span<const uint8_t> part(data.data(), size);
    for (const Crc32cMethod& method : crc32c_methods()) {
      EXPECT_EQ(method.extend(7, part), crc32c_software(7, part)) << method.name << ", " << size;
    }
  }
}

TEST(Crc32c, every_method_agrees_at_every_alignment) {
  constexpr size_t kSizes[] = {1, 255, 511, 512, 513, 777, 6'144 + 9, 8'192};
  std::vector<uint8_t> data(8'192 + 64);
  random_bytes(data.data(), data.size());
  for (size_t offset = 0; offset < 64; ++offset) {
    for (size_t size : kSizes) {
      std::span<const uint8_t> part(data.data() + offset, size);
      const uint32_t expected = crc32c_software(0x12345678, part);
      for (const Crc32cMethod& method : crc32c_methods()) {
        ASSERT_EQ(method.extend(0x12345678, part), expected)
            << method.name << ", " << size << " bytes at " << offset;
      }
    }
  }
}

TEST(Crc32c, every_bit_counts) {
  std::vector<uint8_t> data(1'024 + 5);
  random_bytes(data.data(), data.size());
  for (const Crc32cMethod& method : crc32c_methods()) {
    const uint32_t whole = method.extend(0, data);
    for (size_t bit = 0; bit < data.size() * 8; ++bit) {
      data[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      ASSERT_NE(method.extend(0, data), whole) << method.name << ", bit " << bit;
      data[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    }
  }
}

TEST(Crc32c, continues_where_it_stopped) {
  std::vector<uint8_t> data(30'000);
  random_bytes(data.data(), data.size());
  std::span<const uint8_t> whole(data);
  for (size_t cut : {size_t{1}, size_t{6'144}, size_t{29'999}}) {
    EXPECT_EQ(crc32c_extend(crc32c(whole.first(cut)), whole.subspan(cut)), crc32c(whole));
  }
}

}  // namespace
}  // namespace myfs::server
