#include "server/overlay.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "sdk/base/random.h"

namespace myfs::server {
namespace {

// Per byte: nothing, or the byte that hides what is below.
using Model = std::vector<std::optional<uint8_t>>;

void expect_same(const Overlay& overlay, const Model& model) {
  std::vector<uint8_t> low(kBlockSize_bytes, 0x11), high(kBlockSize_bytes, 0xee);
  overlay.apply(low);
  overlay.apply(high);
  for (size_t i = 0; i < model.size(); ++i) {
    ASSERT_EQ(low[i], model[i].value_or(0x11)) << i;
    ASSERT_EQ(high[i], model[i].value_or(0xee)) << i;
  }
  uint32_t end = 0;
  for (const OverlayExtent& extent : overlay.extents()) {
    ASSERT_GE(extent.offset, end);
    ASSERT_GT(extent.length, 0u);
    ASSERT_TRUE(extent.data.empty() || extent.data.size() == extent.length);
    end = extent.offset + extent.length;
  }
  ASSERT_LE(end, kBlockSize_bytes);
}

TEST(Overlay, random_writes_and_zeros_match_a_byte_model) {
  for (int round = 0; round < 50; ++round) {
    Overlay overlay;
    Model model(kBlockSize_bytes);
    const uint32_t span = round % 2 == 0 ? 64 : kBlockSize_bytes;
    for (int step = 0; step < 40; ++step) {
      auto offset = static_cast<uint32_t>(random_below(span));
      auto length = static_cast<uint32_t>(1 + random_below(span - offset));
      if (random_below(3) == 0) {
        overlay.zero(offset, length);
        std::fill_n(model.begin() + offset, length, uint8_t{0});
      } else {
        std::string data(length, static_cast<char>(1 + random_below(255)));
        overlay.write(offset, data);
        std::fill_n(model.begin() + offset, length, static_cast<uint8_t>(data[0]));
      }
    }
    expect_same(overlay, model);
    uint32_t covered = 0;
    while (covered < model.size() && model[covered].has_value()) ++covered;
    EXPECT_TRUE(overlay.covers(covered));
    if (covered < kBlockSize_bytes) {
      EXPECT_FALSE(overlay.covers(covered + 1));
    }
  }
}

TEST(Overlay, lay_puts_one_over_the_other) {
  Overlay below, above;
  below.write(0, "aaaaaaaa");
  above.write(2, "bb");
  above.zero(6, 4);
  below.lay(above);
  std::vector<uint8_t> out(12, 'x');
  below.apply(out);
  EXPECT_EQ(std::string(out.begin(), out.end()), std::string("aabbaa\0\0\0\0xx", 12));
  EXPECT_EQ(below.data_bytes(), 6u);
  EXPECT_EQ(below.data_end(), 6u);
}

TEST(Overlay, neighbours_of_one_kind_are_joined) {
  Overlay overlay;
  for (uint32_t i = 0; i < 16; ++i) overlay.write(i * 4, "abcd");
  EXPECT_EQ(overlay.extents().size(), 1u);
  EXPECT_TRUE(overlay.covers(64));
}

TEST(EffectiveLength, zeros_at_the_end_shorten_a_block) {
  Overlay overlay;
  EXPECT_EQ(effective_length(100, overlay), 100u);
  overlay.zero(40, 100);
  EXPECT_EQ(effective_length(100, overlay), 40u);
  overlay.zero(10, 30);
  EXPECT_EQ(effective_length(100, overlay), 10u);
  overlay.write(20, "x");
  EXPECT_EQ(effective_length(100, overlay), 21u);
  Overlay all;
  all.zero(0, kBlockSize_bytes);
  EXPECT_EQ(effective_length(kBlockSize_bytes, all), 0u);
  Overlay beyond;
  beyond.zero(200, 10);
  EXPECT_EQ(effective_length(100, beyond), 100u);
}

}  // namespace
}  // namespace myfs::server
