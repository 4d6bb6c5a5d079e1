#include "sdk/mm/readahead.h"

#include <gtest/gtest.h>

#include "tests/unit/mm/fake_ops.h"

namespace myfs::mm {
namespace {

struct ReadaheadTest : FileFixture, testing::Test {
  using Log = std::vector<std::pair<uint64_t, size_t>>;
  size_t pages_read() {
    size_t sum = 0;
    for (auto& [first, pages] : ops.read_log) sum += pages;
    return sum;
  }
};

TEST_F(ReadaheadTest, sequential_reading_ramps_up_to_the_maximum_and_misses_once) {
  set_disk(pattern(16 << 20));
  ops.ra_max = 1 << 20;
  for (uint64_t pos = 0; pos < ops.disk.size(); pos += 4096) {
    ASSERT_TEXT(read(pos, 4096), ops.disk.substr(pos, 4096)) << pos;
  }
  EXPECT_EQ(ops.count_admitted(IoKind::kRead), 1u);
  EXPECT_EQ(pages_read(), ops.disk.size() / 4096);
  size_t largest = 0, last = 0;
  bool grew = true;
  for (size_t i = 0; i < 4; ++i) {
    grew &= ops.read_log[i].second >= last;
    last = ops.read_log[i].second;
  }
  for (auto& [first, pages] : ops.read_log) largest = std::max(largest, pages);
  EXPECT_TRUE(grew);
  EXPECT_EQ(ops.read_log[0].second, 16u);  // 64 KiB
  EXPECT_EQ(largest, 256u);                // 1 MiB
}

TEST_F(ReadaheadTest, hits_decline_at_the_mark_so_that_the_next_window_starts) {
  set_disk(pattern(1 << 20));
  size_t slow = 0;
  for (uint64_t pos = 0; pos < ops.disk.size(); pos += 4096) {
    if (hit(pos, 4096) != "miss") continue;
    ++slow;
    ASSERT_TEXT(read(pos, 4096), ops.disk.substr(pos, 4096));
  }
  EXPECT_EQ(ops.count_admitted(IoKind::kRead), 1u);
  EXPECT_LT(slow, 10u);
}

TEST_F(ReadaheadTest, random_reading_fetches_what_was_asked_for) {
  set_disk(pattern(8 << 20));
  for (uint64_t page : {900u, 17u, 1500u, 402u, 1999u, 760u}) {
    EXPECT_TEXT(read(page * 4096 + 5, 4000), ops.disk.substr(page * 4096 + 5, 4000));
  }
  EXPECT_EQ(pages_read(), 6u);
}

TEST_F(ReadaheadTest, advice_random_switches_it_off) {
  set_disk(pattern(1 << 20));
  ra.random = true;
  for (uint64_t pos = 0; pos < 40 * 4096; pos += 4096) (void)read(pos, 4096);
  EXPECT_EQ(pages_read(), 40u);
  EXPECT_EQ(ops.count_admitted(IoKind::kReadahead), 0u);
}

TEST_F(ReadaheadTest, nothing_beyond_the_end_is_read) {
  set_disk(pattern(3 * 4096 + 1));
  EXPECT_TEXT(read(0, 1 << 20), ops.disk);
  EXPECT_EQ(ops.read_log, (Log{{0, 4}}));
  EXPECT_TEXT(read(4 * 4096, 10), "");
  EXPECT_EQ(ops.read_log.size(), 1u);
}

TEST_F(ReadaheadTest, large_read_is_cut_at_rsize) {
  set_disk(pattern(1 << 20));
  ops.rsize = 64 << 10;
  EXPECT_TEXT(read(0, 1 << 20), ops.disk);
  EXPECT_EQ(pages_read(), 256u);
  for (auto& [first, pages] : ops.read_log) EXPECT_LE(pages, 16u);
}

TEST_F(ReadaheadTest, refused_credits_cost_readahead_and_not_the_read) {
  set_disk(pattern(1 << 20));
  ops.refuse = true;
  for (uint64_t pos = 0; pos < 100 * 4096; pos += 4096) {
    ASSERT_TEXT(read(pos, 4096), ops.disk.substr(pos, 4096));
  }
}

TEST_F(ReadaheadTest, pages_that_are_there_are_not_read_again) {
  set_disk(pattern(64 * 4096));
  ra.random = true;
  EXPECT_EQ(read(5 * 4096, 4096).size(), 4096u);
  EXPECT_EQ(read(9 * 4096, 4096).size(), 4096u);
  ra.random = false;
  EXPECT_TEXT(read(0, 64 * 4096), ops.disk);
  EXPECT_EQ(pages_read(), 64u);
}

TEST_F(ReadaheadTest, willneed_reads_a_range_without_waiting) {
  set_disk(pattern(64 * 4096));
  ops.read_mode = FakeOps::Mode::kManual;
  force_page_cache_readahead(ctx(), *mapping, 4096, 3 * 4096);
  FakeOps::Read pending = ops.take_read();
  EXPECT_EQ(pending.pages.size(), 2u);
  ops.finish(pending, Errno());
  EXPECT_TEXT(hit(4096, 8192), ops.disk.substr(4096, 8192));
}

}  // namespace
}  // namespace myfs::mm
