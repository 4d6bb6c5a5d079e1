#include "sdk/base/random.h"

#include <set>

#include "gtest/gtest.h"

namespace myfs {
namespace {

TEST(RandomTest, identities_differ) {
  std::set<std::array<uint8_t, 16>> seen;
  for (int i = 0; i < 1'000; ++i) EXPECT_TRUE(seen.insert(random_uuid()).second);
}

TEST(RandomTest, a_uuid_says_that_it_is_random) {
  std::array<uint8_t, 16> uuid = random_uuid();
  EXPECT_EQ(uuid[6] >> 4, 4) << "version 4";
  EXPECT_EQ(uuid[8] >> 6, 2) << "variant of RFC 4122";
}

TEST(RandomTest, below_stays_below_and_reaches_every_value) {
  std::set<uint64_t> seen;
  for (int i = 0; i < 1'000; ++i) {
    uint64_t value = random_below(7);
    ASSERT_LT(value, 7u);
    seen.insert(value);
  }
  EXPECT_EQ(seen.size(), 7u);
  EXPECT_EQ(random_below(1), 0u);
}

TEST(RandomTest, fills_every_byte) {
  std::array<uint8_t, 64> merged{};
  for (int i = 0; i < 64; ++i) {
    std::array<uint8_t, 64> bytes{};
    random_bytes(bytes.data(), bytes.size());
    for (size_t n = 0; n < bytes.size(); ++n) merged[n] |= bytes[n];
  }
  for (uint8_t byte : merged) EXPECT_NE(byte, 0);
}

}  // namespace
}  // namespace myfs
