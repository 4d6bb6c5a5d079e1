#include "sdk/mm/filemap.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/unit/mm/fake_ops.h"

namespace myfs::mm {
namespace {

struct FilemapTest : FileFixture, testing::Test {};

TEST_F(FilemapTest, read_fills_the_cache_and_the_next_read_is_a_hit) {
  set_disk(pattern(10'000));
  EXPECT_TEXT(hit(0, 100), "miss");
  EXPECT_TEXT(read(0, 20'000), ops.disk);
  size_t reads = ops.read_log.size();
  EXPECT_TEXT(hit(0, 20'000), ops.disk);
  EXPECT_TEXT(hit(4090, 12), ops.disk.substr(4090, 12));
  EXPECT_TEXT(hit(9'990, 100), ops.disk.substr(9'990));
  EXPECT_TEXT(hit(10'000, 10), "");
  EXPECT_TEXT(hit(UINT64_MAX - 5, 10), "");
  EXPECT_TEXT(read(0, 20'000), ops.disk);
  EXPECT_EQ(ops.read_log.size(), reads);
  EXPECT_GT(runtime->stats().page_hits.value(), 0);
}

TEST_F(FilemapTest, scatter_lists_are_filled_in_order) {
  set_disk(pattern(9000));
  EXPECT_TEXT(read(0, 9000), ops.disk);
  std::string a(3, '?'), b(5000, '?'), c(100, '?');
  iovec iov[] = {{a.data(), a.size()}, {nullptr, 0}, {b.data(), b.size()}, {c.data(), c.size()}};
  EXPECT_EQ(filemap_read_hit(*mapping, 11, iov), 5103);
  EXPECT_EQ(a + b + c, ops.disk.substr(11, 5103));
  EXPECT_EQ(*filemap_read(ctx(), *mapping, ra, 8990, iov), 10u);
}

TEST_F(FilemapTest, read_error_is_reported_and_not_cached) {
  set_disk(pattern(5000));
  ops.read_error = Errno(EIO);
  EXPECT_TEXT(read(0, 10), "EEIO");
  EXPECT_EQ(mapping->nr_pages(), 0u);
  ops.read_error = Errno();
  EXPECT_TEXT(read(0, 10), ops.disk.substr(0, 10));
}

TEST_F(FilemapTest, data_that_may_not_be_cached_ends_in_eagain_after_few_tries) {
  set_disk(pattern(5000));
  ops.read_error = Errno(EAGAIN);
  EXPECT_TEXT(read(0, 10), "EEAGAIN");
  EXPECT_LE(ops.read_log.size(), 8u);
  EXPECT_EQ(mapping->nr_pages(), 0u);
}

TEST_F(FilemapTest, waiting_reader_gets_the_data_or_its_deadline) {
  set_disk(pattern(4096));
  ops.read_mode = FakeOps::Mode::kManual;
  std::string out(10, '?');
  iovec iov{out.data(), out.size()};
  CallContext late{ctx().cred, boottime_ns() + 2 * kNsPerMs, nullptr};
  EXPECT_EQ(filemap_read(late, *mapping, ra, 0, {&iov, 1}).error(), Errno(ETIMEDOUT));
  FakeOps::Read pending = ops.take_read();
  std::thread reader([&] { EXPECT_TEXT(read(0, 10), ops.disk.substr(0, 10)); });
  ops.finish(pending, Errno());
  reader.join();
}

TEST_F(FilemapTest, whole_page_write_reads_nothing_and_partial_write_keeps_the_rest) {
  set_disk(pattern(3 * 4096));
  std::string page(4096, 'W');
  EXPECT_EQ(*write(4096, page), 4096u);
  EXPECT_TRUE(ops.read_log.empty());
  EXPECT_EQ(*write(10, "xyz"), 3u);
  EXPECT_EQ(ops.read_log.size(), 1u);
  std::string expected = ops.disk;
  expected.replace(4096, 4096, page);
  expected.replace(10, 3, "xyz");
  EXPECT_TEXT(read(0, 4 * 4096), expected);
  EXPECT_TRUE(filemap_fsync(ctx(), *mapping, nullptr).ok());
  EXPECT_TEXT(ops.disk, expected);
}

TEST_F(FilemapTest, write_beyond_the_end_leaves_zeroes_and_raises_the_size) {
  set_disk("abc");
  EXPECT_EQ(*write(9000, "tail"), 4u);
  EXPECT_EQ(mapping->i_size.load(), 9004u);
  std::string expected = "abc" + std::string(8997, '\0') + "tail";
  EXPECT_TEXT(read(0, 10'000), expected);
  EXPECT_TRUE(filemap_fsync(ctx(), *mapping, nullptr).ok());
  EXPECT_TEXT(ops.disk, expected);
}

TEST_F(FilemapTest, last_page_is_written_only_up_to_the_size) {
  EXPECT_EQ(*write(0, pattern(4100)), 4100u);
  EXPECT_TRUE(filemap_fsync(ctx(), *mapping, nullptr).ok());
  ASSERT_EQ(ops.write_log.size(), 1u);
  EXPECT_EQ(ops.write_log[0].size_bytes, 4100u);
  EXPECT_TEXT(ops.disk, pattern(4100));
}

TEST_F(FilemapTest, page_in_flight_is_copied_when_written_again) {
  ops.write_mode = FakeOps::Mode::kManual;
  std::string first = pattern(4096, 1);
  EXPECT_EQ(*write(0, first), 4096u);
  EXPECT_TRUE(filemap_fdatawrite_range(ctx(), *mapping, 0, UINT64_MAX).ok());
  FakeOps::Write flight = ops.take_write();
  EXPECT_EQ(*write(100, "NEW"), 3u);
  std::string second = first;
  second.replace(100, 3, "NEW");
  EXPECT_TEXT(hit(0, 4096), second);
  // What is in flight has not changed, so a retry sends the same bytes.
  EXPECT_EQ(std::string(reinterpret_cast<char*>(flight.pages[0]->data()), 4096), first);
  EXPECT_EQ(runtime->stats().pages_copied_on_write.value(), 1);
  EXPECT_EQ(*write(200, "AGAIN"), 5u);  // the copy is written in place
  EXPECT_EQ(runtime->stats().pages_copied_on_write.value(), 1);

  // No second write of the index before the first has ended.
  CallContext nowait{ctx().cred, boottime_ns() + 2 * kNsPerMs, nullptr};
  EXPECT_EQ(write_cache_pages(nowait, *mapping, 0, 0, IoKind::kWrite).error(), Errno(ETIMEDOUT));
  EXPECT_EQ(*write_cache_pages(ctx(), *mapping, 0, 0, IoKind::kFlush), 0u);
  ops.finish(flight, Errno());
  EXPECT_TEXT(ops.disk, first);
  ops.write_mode = FakeOps::Mode::kInline;
  EXPECT_TRUE(filemap_fsync(ctx(), *mapping, nullptr).ok());
  second.replace(200, 5, "AGAIN");
  EXPECT_TEXT(ops.disk, second);
}

TEST_F(FilemapTest, whole_page_write_replaces_a_page_in_flight_whose_write_fails) {
  ops.write_mode = FakeOps::Mode::kManual;
  EXPECT_EQ(*write(0, pattern(4096, 1)), 4096u);
  EXPECT_TRUE(filemap_fdatawrite_range(ctx(), *mapping, 0, UINT64_MAX).ok());
  FakeOps::Write flight = ops.take_write();
  EXPECT_EQ(*write(0, pattern(4096, 2)), 4096u);
  ops.finish(flight, Errno(EAGAIN));
  EXPECT_EQ(mapping->wb_err.sample_now(), 0u);
  ops.write_mode = FakeOps::Mode::kInline;
  EXPECT_TRUE(filemap_fsync(ctx(), *mapping, nullptr).ok());
  EXPECT_TEXT(ops.disk, pattern(4096, 2));
}

TEST_F(FilemapTest, write_error_is_reported_once_per_open_file) {
  ErrSeq::Sample a = mapping->wb_err.sample(), b = mapping->wb_err.sample();
  ops.write_error = Errno(ENOSPC);
  EXPECT_EQ(*write(0, "data"), 4u);
  EXPECT_EQ(filemap_fsync(ctx(), *mapping, &a).error(), Errno(ENOSPC));
  EXPECT_TRUE(filemap_fsync(ctx(), *mapping, &a).ok());
  EXPECT_EQ(filemap_fsync(ctx(), *mapping, &b).error(), Errno(ENOSPC));
  EXPECT_TRUE(filemap_fsync(ctx(), *mapping, &b).ok());
  EXPECT_TEXT(hit(0, 4), "data");  // stays readable
}

TEST_F(FilemapTest, page_sent_back_is_written_again_by_fsync) {
  ops.write_mode = FakeOps::Mode::kManual;
  EXPECT_EQ(*write(0, "data"), 4u);
  std::thread server([&] {
    ops.finish(ops.take_write(), Errno(EAGAIN));
    ops.finish(ops.take_write(), Errno());
  });
  EXPECT_TRUE(filemap_fsync(ctx(), *mapping, nullptr).ok());
  server.join();
  EXPECT_EQ(ops.disk, "data");
}

TEST_F(FilemapTest, fsync_gives_up_when_every_write_is_sent_back) {
  ops.write_error = Errno(EAGAIN);
  EXPECT_EQ(*write(0, "data"), 4u);
  EXPECT_EQ(filemap_fsync(ctx(), *mapping, nullptr).error(), Errno(EIO));
  EXPECT_EQ(mapping->nr_tagged(PageTag::kDirty), 1u);
}

TEST_F(FilemapTest, unstable_pages_stay_until_the_commit) {
  ops.unstable = true;
  EXPECT_EQ(*write(0, pattern(8192)), 8192u);
  EXPECT_TRUE(filemap_write_and_wait_range(ctx(), *mapping, 0, UINT64_MAX).ok());
  EXPECT_EQ(mapping->nr_tagged(PageTag::kUnstable), 2u);
  EXPECT_FALSE(mapping->is_clean());
  EXPECT_EQ(reclaim_pages(*runtime, 10), 0u);
  EXPECT_TEXT(hit(0, 8192), pattern(8192));
  EXPECT_TRUE(filemap_commit(ctx(), *mapping).ok());
  EXPECT_EQ(ops.commits, 1);
  EXPECT_TRUE(mapping->is_clean());
  EXPECT_TRUE(filemap_commit(ctx(), *mapping).ok());
  EXPECT_EQ(ops.commits, 1);
}

TEST_F(FilemapTest, server_that_lost_unstable_pages_gets_them_again) {
  ops.unstable = true;
  ops.lose_unstable = true;
  EXPECT_EQ(*write(0, pattern(8192)), 8192u);
  EXPECT_TRUE(filemap_fsync(ctx(), *mapping, nullptr).ok());
  EXPECT_EQ(ops.commits, 2);
  EXPECT_EQ(ops.write_log.size(), 2u);
  EXPECT_TRUE(mapping->is_clean());
}

TEST_F(FilemapTest, what_fits_into_one_request_needs_no_commit) {
  ops.unstable = ops.obeys_durable = true;
  ASSERT_TRUE(write(100, pattern(10'000)).ok());
  EXPECT_TRUE(filemap_fsync(ctx(), *mapping, nullptr).ok());
  EXPECT_EQ(ops.write_log.size(), 1u);
  EXPECT_EQ(ops.commits, 0);
  EXPECT_TRUE(mapping->is_clean());
  // Of two requests neither brings everything.
  ASSERT_TRUE(write(0, "a").ok());
  ASSERT_TRUE(write(1 << 20, "b").ok());
  EXPECT_TRUE(filemap_fsync(ctx(), *mapping, nullptr).ok());
  EXPECT_EQ(ops.commits, 1);
  EXPECT_TRUE(mapping->is_clean());
  // What lies at the server uncommitted would need a commit all the same.
  ASSERT_TRUE(write(0, "c").ok());
  ASSERT_TRUE(filemap_write_and_wait_range(ctx(), *mapping, 0, UINT64_MAX).ok());
  EXPECT_FALSE(ops.write_log.back().durable);
  ASSERT_TRUE(write(1 << 20, "d").ok());
  EXPECT_TRUE(filemap_fsync(ctx(), *mapping, nullptr).ok());
  EXPECT_FALSE(ops.write_log.back().durable);
  EXPECT_EQ(ops.commits, 2);
}

TEST_F(FilemapTest, commit_covers_only_what_was_written_before_it) {
  ops.unstable = true;
  ops.commit_mode = FakeOps::Mode::kManual;
  EXPECT_EQ(*write(0, pattern(4096)), 4096u);
  EXPECT_TRUE(filemap_write_and_wait_range(ctx(), *mapping, 0, UINT64_MAX).ok());
  EXPECT_TRUE(*start_commit(ctx(), *mapping, IoKind::kWrite));
  EXPECT_FALSE(*start_commit(ctx(), *mapping, IoKind::kWrite));
  uint32_t round = ops.take_commit();
  EXPECT_EQ(*write(4096, pattern(4096)), 4096u);
  EXPECT_TRUE(filemap_write_and_wait_range(ctx(), *mapping, 0, UINT64_MAX).ok());
  end_commit(*mapping, round, Errno());
  EXPECT_EQ(mapping->nr_tagged(PageTag::kUnstable), 1u);
  EXPECT_EQ(mapping->next_tagged(PageTag::kUnstable, 0), 1u);
}

TEST_F(FilemapTest, fsyncs_that_come_during_a_commit_share_the_next_one) {
  ops.unstable = true;
  ops.commit_mode = FakeOps::Mode::kManual;
  EXPECT_EQ(*write(0, pattern(4096)), 4096u);
  EXPECT_TRUE(filemap_write_and_wait_range(ctx(), *mapping, 0, UINT64_MAX).ok());
  EXPECT_TRUE(*start_commit(ctx(), *mapping, IoKind::kWrite));
  EXPECT_EQ(*write(4096, pattern(4096)), 4096u);
  EXPECT_TRUE(filemap_write_and_wait_range(ctx(), *mapping, 0, UINT64_MAX).ok());
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([&] { EXPECT_TRUE(filemap_commit(ctx(), *mapping).ok()); });
  }
  end_commit(*mapping, ops.take_commit(), Errno());
  uint32_t second = ops.take_commit();
  end_commit(*mapping, second, Errno());
  for (std::thread& caller : callers) caller.join();
  EXPECT_LE(ops.commits, 3);
  EXPECT_TRUE(mapping->is_clean());
}

TEST_F(FilemapTest, failed_commit_is_an_error_of_the_file) {
  ops.unstable = true;
  ops.commit_error = Errno(EIO);
  ErrSeq::Sample since = mapping->wb_err.sample();
  EXPECT_EQ(*write(0, "data"), 4u);
  EXPECT_EQ(filemap_fsync(ctx(), *mapping, &since).error(), Errno(EIO));
  EXPECT_TRUE(filemap_fsync(ctx(), *mapping, &since).ok());
}

TEST_F(FilemapTest, truncation_generation_stays_with_the_first_dirtying) {
  mapping->trunc_gen = 5;
  EXPECT_EQ(*write(0, "a"), 1u);
  mapping->trunc_gen = 6;
  EXPECT_EQ(*write(1, "b"), 1u);
  EXPECT_EQ(*write(4096, "c"), 1u);
  EXPECT_TRUE(filemap_fsync(ctx(), *mapping, nullptr).ok());
  ASSERT_EQ(ops.write_log.size(), 2u);  // of different generations: not in one request
  EXPECT_EQ(ops.write_log[0].trunc_gen, 5u);
  EXPECT_EQ(ops.write_log[1].trunc_gen, 6u);
}

TEST_F(FilemapTest, neighbours_travel_together_up_to_wsize) {
  ops.wsize = 16 * 4096;
  EXPECT_EQ(*write(0, pattern(40 * 4096)), 40u * 4096);
  EXPECT_EQ(*write(100 * 4096, "x"), 1u);
  EXPECT_TRUE(filemap_fsync(ctx(), *mapping, nullptr).ok());
  ASSERT_EQ(ops.write_log.size(), 4u);
  EXPECT_EQ(ops.write_log[0].pages.size(), 16u);
  EXPECT_EQ(ops.write_log[2].pages.size(), 8u);
  EXPECT_EQ(ops.write_log[3].offset, 100u * 4096);
  EXPECT_EQ(ops.write_log[3].size_bytes, 1u);
}

TEST_F(FilemapTest, hits_decline_while_a_write_waits_and_see_all_of_it_afterwards) {
  set_disk(pattern(3 * 4096));
  EXPECT_TEXT(read(0, 3 * 4096), ops.disk);
  {
    WriteSeqSection section(mapping->i_write_seq);
    EXPECT_TEXT(hit(0, 10), "miss");
  }
  EXPECT_EQ(*write(0, std::string(8192, 'Z')), 8192u);
  EXPECT_TEXT(hit(0, 8192), std::string(8192, 'Z'));
}

TEST_F(FilemapTest, pages_without_a_store_are_never_written) {
  ops.has_store = false;
  EXPECT_EQ(*write(0, pattern(8192)), 8192u);
  EXPECT_TRUE(filemap_fsync(ctx(), *mapping, nullptr).ok());
  EXPECT_EQ(ops.write_log.size(), 0u);
  EXPECT_EQ(reclaim_pages(*runtime, 10), 0u);
  EXPECT_TEXT(hit(0, 8192), pattern(8192));
}

}  // namespace
}  // namespace myfs::mm
