#include "sdk/mm/truncate.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/unit/mm/fake_ops.h"

namespace myfs::mm {
namespace {

struct TruncateTest : FileFixture, testing::Test {
  void truncate(uint64_t size) {
    WriteLock lock(mapping->invalidate_lock);
    truncate_setsize(*mapping, size);
  }
};

TEST_F(TruncateTest, shrinking_drops_pages_and_zeroes_the_tail) {
  EXPECT_EQ(*write(0, pattern(5 * 4096)), 5u * 4096);
  truncate(4096 + 100);
  EXPECT_EQ(mapping->nr_pages(), 2u);
  EXPECT_EQ(mapping->nr_tagged(PageTag::kDirty), 2u);
  EXPECT_TEXT(read(0, 10'000), pattern(4196));
  truncate(2 * 4096);
  EXPECT_TEXT(read(4096, 10'000), pattern(4196).substr(4096) + std::string(4096 - 100, '\0'));
}

TEST_F(TruncateTest, growing_shows_a_hole) {
  EXPECT_EQ(*write(0, "abc"), 3u);
  truncate(10'000);
  EXPECT_TEXT(read(0, 20'000), "abc" + std::string(9'997, '\0'));
}

TEST_F(TruncateTest, writes_in_flight_are_waited_for) {
  ops.write_mode = FakeOps::Mode::kManual;
  EXPECT_EQ(*write(0, pattern(2 * 4096)), 2u * 4096);
  EXPECT_TRUE(filemap_fdatawrite_range(ctx(), *mapping, 0, UINT64_MAX).ok());
  FakeOps::Write flight = ops.take_write();
  EXPECT_EQ(*write(4096, "copy"), 4u);
  std::atomic<bool> done{false};
  std::thread truncater([&] {
    truncate(10);
    done = true;
  });
  while (mapping->i_size != 10) std::this_thread::yield();
  EXPECT_FALSE(done);
  ops.finish(flight, Errno());
  truncater.join();
  EXPECT_EQ(mapping->nr_pages(), 1u);
  EXPECT_TEXT(read(0, 100), pattern(10));
}

TEST_F(TruncateTest, punching_a_hole_zeroes_parts_and_drops_wholes) {
  EXPECT_EQ(*write(0, pattern(4 * 4096)), 4u * 4096);
  EXPECT_TRUE(filemap_fsync(ctx(), *mapping, nullptr).ok());
  std::string expected = pattern(4 * 4096);
  auto punch = [&](uint64_t from, uint64_t to) {
    WriteLock lock(mapping->invalidate_lock);
    ops.disk.replace(from, to - from, to - from, '\0');
    expected.replace(from, to - from, to - from, '\0');
    truncate_pagecache_range(*mapping, from, to);
  };
  punch(100, 3 * 4096 + 50);
  EXPECT_EQ(mapping->nr_pages(), 2u);
  EXPECT_TEXT(read(0, 4 * 4096), expected);
  punch(3 * 4096 + 60, 3 * 4096 + 70);
  EXPECT_EQ(mapping->nr_pages(), 4u);
  EXPECT_TEXT(read(0, 4 * 4096), expected);
}

TEST_F(TruncateTest, invalidation_drops_clean_pages_and_names_the_dirty) {
  set_disk(pattern(4 * 4096));
  EXPECT_TEXT(read(0, 4 * 4096), ops.disk);
  EXPECT_EQ(*write(4096, "dirty"), 5u);
  WriteLock lock(mapping->invalidate_lock);
  EXPECT_TRUE(invalidate_pages_range(*mapping, 3 * 4096, UINT64_MAX).ok());
  EXPECT_EQ(mapping->nr_pages(), 3u);
  EXPECT_EQ(invalidate_pages(*mapping).error(), Errno(EBUSY));
  EXPECT_EQ(mapping->nr_pages(), 1u);
  EXPECT_TRUE(filemap_fsync(ctx(), *mapping, nullptr).ok());
  EXPECT_TRUE(invalidate_pages(*mapping).ok());
  EXPECT_EQ(mapping->nr_pages(), 0u);
}

TEST_F(TruncateTest, invalidation_waits_for_reads_in_flight) {
  set_disk(pattern(4096));
  ops.read_mode = FakeOps::Mode::kManual;
  force_page_cache_readahead(ctx(), *mapping, 0, 4096);
  FakeOps::Read pending = ops.take_read();
  std::thread recall([&] {
    WriteLock lock(mapping->invalidate_lock);
    EXPECT_TRUE(invalidate_pages(*mapping).ok());
    EXPECT_EQ(mapping->nr_pages(), 0u);
  });
  ops.finish(pending, Errno());
  recall.join();
}

TEST_F(TruncateTest, discarding_counts_what_the_server_lacks) {
  set_disk(pattern(3 * 4096));
  EXPECT_TEXT(read(0, 3 * 4096), ops.disk);
  EXPECT_EQ(*write(0, "x"), 1u);
  EXPECT_EQ(*write(2 * 4096, "x"), 1u);
  ErrSeq::Sample since = mapping->wb_err.sample();
  EXPECT_EQ(truncate_inode_pages_final(*mapping), 2u);
  EXPECT_EQ(mapping->wb_err.check_and_advance(&since), Errno(EIO));
  EXPECT_EQ(mapping->nr_pages(), 0u);
  EXPECT_TRUE(mapping->is_clean());
}

TEST_F(TruncateTest, the_end_waits_for_a_commit_in_flight) {
  ops.unstable = true;
  ops.commit_mode = FakeOps::Mode::kManual;
  EXPECT_EQ(*write(0, "x"), 1u);
  EXPECT_TRUE(filemap_write_and_wait_range(ctx(), *mapping, 0, UINT64_MAX).ok());
  EXPECT_TRUE(*start_commit(ctx(), *mapping, IoKind::kWrite));
  std::atomic<bool> done{false};
  std::thread killer([&] {
    EXPECT_EQ(truncate_inode_pages_final(*mapping), 1u);
    done = true;
  });
  while (mapping->nr_pages() != 0) std::this_thread::yield();
  EXPECT_FALSE(done);
  end_commit(*mapping, ops.take_commit(), Errno());
  killer.join();
}

}  // namespace
}  // namespace myfs::mm
