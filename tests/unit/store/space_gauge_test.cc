#include "server/space_gauge.h"

#include <gtest/gtest.h>

#include "server/store/memory_block_store.h"

namespace myfs::server {
namespace {

constexpr uint64_t kMiB = 1 << 20;

class Disk final : public MemoryBlockStore {
 public:
  BlockSpace space() const override {
    ++asked;
    return {.total_bytes = 4096 * kMiB, .free_bytes = free_bytes};
  }
  uint64_t free_bytes = 1024 * kMiB;
  mutable int asked = 0;
};

class SpaceGaugeTest : public testing::Test {
 protected:
  Disk disk;
  int64_t now_ns = 1;
  SpaceGauge gauge{disk, 16 * kMiB, [this] { return now_ns; }};
};

TEST_F(SpaceGaugeTest, the_store_is_asked_once_in_a_while) {
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(gauge.recent().free_bytes, (1024 - 16) * kMiB);
    EXPECT_EQ(gauge.recent().total_bytes, 4096 * kMiB);
  }
  EXPECT_EQ(disk.asked, 1);
  disk.free_bytes = 512 * kMiB;
  now_ns += kSpaceStale_ns - 1;
  EXPECT_EQ(gauge.recent().free_bytes, (1024 - 16) * kMiB);
  ++now_ns;
  EXPECT_EQ(gauge.recent().free_bytes, (512 - 16) * kMiB);
  EXPECT_EQ(disk.asked, 2);
}

TEST_F(SpaceGaugeTest, what_is_taken_counts_at_once) {
  (void)gauge.recent();
  gauge.take(8 * kMiB);
  EXPECT_EQ(gauge.recent().free_bytes, (1024 - 16 - 8) * kMiB);
  EXPECT_EQ(disk.asked, 1);
}

TEST_F(SpaceGaugeTest, where_it_is_tight_nobody_relies_on_an_old_figure) {
  disk.free_bytes = 16 * kMiB + kSpaceTight_bytes;
  EXPECT_EQ(gauge.recent().free_bytes, kSpaceTight_bytes);
  gauge.take(1);
  disk.free_bytes = 20 * kMiB;  // others were at it, too
  EXPECT_EQ(gauge.recent().free_bytes, 4 * kMiB);
  disk.free_bytes = kMiB;
  EXPECT_EQ(gauge.recent().free_bytes, 0u);
  disk.free_bytes = 1024 * kMiB;
  EXPECT_EQ(gauge.recent().free_bytes, (1024 - 16) * kMiB);
}

TEST_F(SpaceGaugeTest, after_a_failure_the_store_is_asked) {
  (void)gauge.recent();
  disk.free_bytes = 300 * kMiB;
  gauge.doubt();
  EXPECT_EQ(gauge.recent().free_bytes, (300 - 16) * kMiB);
}

TEST_F(SpaceGaugeTest, who_wants_to_know_exactly_asks) {
  (void)gauge.recent();
  disk.free_bytes = 2048 * kMiB;
  EXPECT_EQ(gauge.ask().free_bytes, (2048 - 16) * kMiB);
  EXPECT_EQ(gauge.recent().free_bytes, (2048 - 16) * kMiB);
}

}  // namespace
}  // namespace myfs::server
