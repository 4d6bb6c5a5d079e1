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

TEST(Crc32c, hardware_and_software_agree_on_every_length) {
  std::vector<uint8_t> data(70'000);
  random_bytes(data.data(), data.size());
  for (size_t size : {0, 1, 7, 8, 9, 63, 2047, 6143, 6144, 6145, 12'288, 65'536, 70'000}) {
    std::span<const uint8_t> part(data.data(), size);
    EXPECT_EQ(crc32c(part), crc32c_software(0, part)) << size;
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
