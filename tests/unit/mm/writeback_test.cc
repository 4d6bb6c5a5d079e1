#include "sdk/mm/writeback.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/unit/mm/fake_ops.h"

namespace myfs::mm {
namespace {

RuntimeOptions quick_flusher() {
  RuntimeOptions options = slow_flusher();
  options.dirty_expire_ns = options.commit_expire_ns = 5 * kNsPerMs;
  return options;
}

RuntimeOptions low_dirty_limit() {
  RuntimeOptions options = slow_flusher();
  options.dirty_limit_bytes = 16 * kPageSize_bytes;
  options.dirty_background_bytes = 16 * kPageSize_bytes;
  return options;
}

template <typename Condition>
void await(Condition condition) {
  while (!condition()) std::this_thread::yield();
}

struct FlusherTest : FileFixture, testing::Test {
  FlusherTest() : FileFixture(quick_flusher()) {}
};

TEST_F(FlusherTest, writes_and_commits_what_is_old_enough) {
  ops.unstable = true;
  EXPECT_EQ(*write(0, pattern(8192)), 8192u);
  await([&] { return mapping->is_clean(); });
  EXPECT_EQ(ops.disk, pattern(8192));
  EXPECT_GE(ops.commits, 1);
}

TEST_F(FlusherTest, one_file_system_that_refuses_does_not_stop_another) {
  FakeOps dead;
  dead.refuse = true;
  AddressSpace other(*runtime, dead);
  iovec iov{const_cast<char*>("dead"), 4};
  EXPECT_EQ(*filemap_write(ctx(), other, 0, {&iov, 1}), 4u);
  EXPECT_EQ(*write(0, "alive"), 5u);
  await([&] { return mapping->is_clean(); });
  EXPECT_EQ(other.nr_tagged(PageTag::kDirty), 1u);
  EXPECT_EQ(truncate_inode_pages_final(other), 1u);
}

TEST_F(FlusherTest, file_may_die_while_the_flusher_works) {
  for (int i = 0; i < 200; ++i) {
    AddressSpace file(*runtime, ops);
    iovec iov{const_cast<char*>("short life"), 10};
    EXPECT_EQ(*filemap_write(ctx(), file, 0, {&iov, 1}), 10u);
    runtime->writeback().kick();
    if (i % 2 == 0) std::this_thread::yield();
    truncate_inode_pages_final(file);
  }
}

struct ThrottleTest : FileFixture, testing::Test {
  ThrottleTest() : FileFixture(low_dirty_limit()) {}
};

TEST_F(ThrottleTest, writer_waits_above_the_dirty_limit_until_pages_are_written) {
  ops.write_mode = FakeOps::Mode::kManual;
  std::atomic<int> written{0};
  std::thread writer([&] {
    for (int i = 0; i < 40; ++i) {
      ASSERT_EQ(*write(static_cast<uint64_t>(i) * 4096, pattern(4096)), 4096u);
      ++written;
    }
  });
  FakeOps::Write first = ops.take_write();
  EXPECT_LE(written, 18);
  EXPECT_LE(runtime->budget().dirty_bytes(), 18 * kPageSize_bytes);
  std::atomic<bool> stop{false};
  std::thread server([&] {
    ops.finish(first, Errno());
    while (!stop) {
      if (ops.outstanding_writes() > 0) ops.finish(ops.take_write(), Errno());
      std::this_thread::yield();
    }
  });
  writer.join();
  EXPECT_EQ(written, 40);
  EXPECT_GT(runtime->stats().writers_throttled.value(), 0);
  stop = true;
  server.join();
}

TEST_F(ThrottleTest, a_file_system_whose_server_is_away_holds_up_no_other) {
  FakeOps away;
  away.write_mode = FakeOps::Mode::kManual;
  AddressSpace other(*runtime, away);
  const std::string text = pattern(17 * kPageSize_bytes);
  iovec iov{const_cast<char*>(text.data()), text.size()};
  EXPECT_EQ(*filemap_write(ctx(), other, 0, {&iov, 1}), text.size());
  CallContext soon{ctx().cred, boottime_ns() + 5 * kNsPerMs};
  iovec more{const_cast<char*>("more"), 4};
  EXPECT_EQ(filemap_write(soon, other, 0, {&more, 1}).error(), Errno(ETIMEDOUT));
  EXPECT_EQ(*filemap_write(soon, *mapping, 0, {&more, 1}), 4u);
  while (away.outstanding_writes() > 0) away.finish(away.take_write(), Errno());
  truncate_inode_pages_final(other);
}

TEST_F(ThrottleTest, throttled_writer_leaves_at_its_deadline) {
  ops.write_mode = FakeOps::Mode::kManual;
  EXPECT_EQ(*write(0, pattern(10 * 4096)), 10u * 4096);
  CallContext late{ctx().cred, boottime_ns() + 5 * kNsPerMs, nullptr};
  Errno error;
  for (int i = 10; i < 40 && error.ok(); ++i) {
    error = write(static_cast<uint64_t>(i) * 4096, pattern(4096), late).error();
  }
  EXPECT_EQ(error, Errno(ETIMEDOUT));
  while (ops.outstanding_writes() > 0) ops.finish(ops.take_write(), Errno());
}

TEST_F(ThrottleTest, unstable_pages_count_and_are_committed_to_make_room) {
  ops.unstable = true;
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(*write(static_cast<uint64_t>(i) * 4096, pattern(4096)), 4096u);
  }
  EXPECT_GT(ops.commits, 0);
  EXPECT_LE(runtime->budget().dirty_bytes(), 18 * kPageSize_bytes);
}

struct WritebackTest : FileFixture, testing::Test {};

TEST_F(WritebackTest, a_file_has_a_dirty_limit_of_its_own) {
  mapping->dirty_limit_bytes = 4 * kPageSize_bytes;
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(*write(static_cast<uint64_t>(i) * 4096, pattern(4096)), 4096u);
    EXPECT_LE(mapping->nr_tagged(PageTag::kDirty), 5u);
  }
  EXPECT_GT(ops.write_log.size(), 0u);
}

TEST_F(WritebackTest, large_write_throttles_on_the_way) {
  mapping->dirty_limit_bytes = 1 << 20;
  EXPECT_EQ(*write(0, pattern(4 << 20)), size_t{4} << 20);
  EXPECT_LE(mapping->nr_tagged(PageTag::kDirty), 2 * 256u);
}

TEST_F(WritebackTest, sync_writes_the_files_of_one_file_system) {
  FakeOps others;
  AddressSpace foreign(*runtime, others);
  iovec iov{const_cast<char*>("other"), 5};
  EXPECT_EQ(*filemap_write(ctx(), foreign, 0, {&iov, 1}), 5u);
  EXPECT_EQ(*write(0, "mine"), 4u);
  EXPECT_TRUE(runtime->writeback().sync(ctx(), ops).ok());
  EXPECT_TRUE(mapping->is_clean());
  EXPECT_FALSE(foreign.is_clean());
  ops.write_error = Errno(ENOSPC);
  EXPECT_EQ(*write(0, "more"), 4u);
  EXPECT_EQ(runtime->writeback().sync(ctx(), ops).error(), Errno(ENOSPC));
  truncate_inode_pages_final(foreign);
}

// What the flusher has lost before, nobody waiting, and what is lost again with the same errno.
TEST_F(WritebackTest, sync_reports_what_was_lost_since_the_last_one) {
  ops.write_error = Errno(ENOSPC);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(*write(0, "lost"), 4u);
    EXPECT_TRUE(filemap_write_and_wait_range(ctx(), *mapping, 0, UINT64_MAX).ok());
    EXPECT_EQ(runtime->writeback().sync(ctx(), ops).error(), Errno(ENOSPC)) << i;
    EXPECT_TRUE(runtime->writeback().sync(ctx(), ops).ok()) << i;
  }
}

TEST_F(WritebackTest, recall_writes_are_marked_as_such) {
  EXPECT_EQ(*write(0, "x"), 1u);
  EXPECT_TRUE(filemap_fsync(ctx(), *mapping, nullptr, IoKind::kRecallWrite).ok());
  ASSERT_EQ(ops.write_log.size(), 1u);
  EXPECT_EQ(ops.write_log[0].kind, IoKind::kRecallWrite);
}

TEST_F(WritebackTest, page_truncated_before_it_is_sent_is_not_written) {
  EXPECT_EQ(*write(0, pattern(2 * 4096)), 2u * 4096);
  mapping->i_size = 10;  // a truncation that has not reached the pages yet
  EXPECT_TRUE(filemap_write_and_wait_range(ctx(), *mapping, 0, UINT64_MAX).ok());
  ASSERT_EQ(ops.write_log.size(), 1u);
  EXPECT_EQ(ops.write_log[0].pages.size(), 1u);
  EXPECT_EQ(ops.write_log[0].size_bytes, 10u);
  EXPECT_TRUE(mapping->is_clean());
}

}  // namespace
}  // namespace myfs::mm
