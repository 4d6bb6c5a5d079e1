// Write-back, recalls and errors of a mount of a scripted server.
#include "sdk/fs/attr.h"
#include "sdk/fs/page_pin.h"
#include "sdk/fs/read_steps.h"
#include "tests/unit/netfs/mount_fixture.h"

namespace myfs::netfs {
namespace {

using fs::kLeaseR;
using fs::kLeaseW;

using FlushTest = MountFixture;

TEST_F(FlushTest, WhoWaitsForAPageDrivesTheLoop) {
  constexpr uint64_t kPages = 1024, kReads = 100;
  server_.set_content(std::string(kPages * kPageSize_bytes, 'x'));
  mount();
  int fd = open("/f", O_RDONLY);
  ASSERT_GE(fd, 0);
  const uint64_t before = loop_->stats().caller_leads;
  for (uint64_t i = 0; i < kReads; ++i) {
    ASSERT_EQ("xxxx", read(fd, 4, (i * 37 % kPages) * kPageSize_bytes));
  }
  // But for those times in which the loop's own thread was faster.
  EXPECT_GT(loop_->stats().caller_leads - before, kReads / 2);
}

TEST_F(FlushTest, StuckFlushesDoNotKeepTheSessionFromBeingRenewed) {
  constexpr uint32_t kTerm_ms = 2000;
  server_.script([](rpc_test::Script& s) { s.term_ms = kTerm_ms; });
  mount();
  std::vector<uint64_t> inodes;
  for (size_t i = 0; i < kRecallThreadsMax + 2; ++i) {
    int fd = open("/f" + std::to_string(i));
    ASSERT_GE(fd, 0);
    ASSERT_TRUE(write(fd, "text").ok());
    inodes.push_back(ino(fd));
  }
  server_.script([](rpc_test::Script& s) { s.hold = true; });
  for (uint64_t ino : inodes) server_.recall(ino, kLeaseR | kLeaseW);
  ASSERT_TRUE(eventually([&] { return server_.held.load() > 0; }));
  const int64_t first_ns = super().validity().deadline_ns;
  const int64_t enough_ns = first_ns + kTerm_ms * kNsPerMs;
  ASSERT_TRUE(eventually([&] { return super().validity().deadline_ns >= enough_ns; }));
  EXPECT_EQ(server_.acks, 0);
  server_.release_held();
  const int all = static_cast<int>(inodes.size());
  EXPECT_TRUE(eventually([&] { return server_.acks == all; }));
}

TEST_F(FlushTest, WhoReadsWithoutALeaseFindsWhatHeWroteUnderOne) {
  server_.script([](rpc_test::Script& s) {
    s.term_ms = 200;
    s.renew_silent = true;
  });
  mount();
  const int fd = open("/f");
  ASSERT_TRUE(write(fd, "text").ok());
  ASSERT_TRUE(inode(fd).has_dirty_pages());
  ASSERT_TRUE(eventually([&] { return !super().validity().alive(); }));
  EXPECT_EQ(read(fd, 4), "text");
}

// The server may need the recalled lease to let those go on whose bytes the writer waits for.
TEST_F(FlushTest, AWriterThatWaitsForRoomHoldsNoRecallUp) {
  constexpr size_t kMemory_bytes = 8 << 20, kDirtyLimit_bytes = kMemory_bytes / 4;
  mount(kMemory_bytes);
  const int wanted = open("/wanted"), full = open("/full");
  ASSERT_GE(full, 0);
  server_.script([](rpc_test::Script& s) { s.hold = true; });
  ASSERT_TRUE(write(full, std::string(kDirtyLimit_bytes + (1 << 20), 'x')).ok());
  Errno error(EIO);
  {
    Thread writer("writer", [&] { error = write(wanted, "text"); });
    EXPECT_TRUE(eventually([&] { return memory_->stats().writers_throttled.value() > 0; }));
    server_.recall(ino(wanted), kLeaseR | kLeaseW);
    EXPECT_TRUE(eventually([&] { return server_.acks == 1; }));
    server_.release_held();
  }
  EXPECT_TRUE(error.ok()) << error.name();
  EXPECT_EQ(read(wanted, 4), "text");
}

TEST_F(FlushTest, AWriteThatFailsLeavesTheInodeUnpinned) {
  constexpr size_t kMemory_bytes = 8 << 20, kDirtyLimit_bytes = kMemory_bytes / 4;
  mount(kMemory_bytes);
  const int wanted = open("/wanted"), full = open("/full");
  server_.script([](rpc_test::Script& s) { s.hold = true; });
  ASSERT_TRUE(write(full, std::string(kDirtyLimit_bytes + (1 << 20), 'x')).ok());
  EXPECT_EQ(fs::vfs_pwrite(within(50 * kNsPerMs), *task_, wanted, "text", 4, 0).error(),
            Errno(ETIMEDOUT));
  NetInode& file = inode(wanted);
  EXPECT_TRUE(eventually([&] {
    MutexLock lock(file.lease.mu);
    return !file.lease.pinned;
  }));
  server_.release_held();
}

// What an append has not written when it loses W goes behind what others have written meanwhile.
TEST_F(FlushTest, AnAppendThatIsInterruptedGoesOnAtTheEnd) {
  constexpr size_t kMemory_bytes = 8 << 20, kDirtyLimit_bytes = kMemory_bytes / 4;
  mount(kMemory_bytes);
  const int fd = open("/f", O_RDWR | O_CREAT | O_EXCL | O_APPEND);
  ASSERT_GE(fd, 0);
  server_.script([](rpc_test::Script& s) { s.hold = true; });
  const std::string text(kDirtyLimit_bytes + (2 << 20), 'x');
  Errno error(EIO);
  {
    Thread writer("writer", [&] { error = write(fd, text); });
    EXPECT_TRUE(eventually([&] { return memory_->stats().writers_throttled.value() > 0; }));
    server_.recall(ino(fd), kLeaseR | kLeaseW);
    server_.release_held();
    EXPECT_TRUE(eventually([&] { return server_.acks == 1; }));
  }
  EXPECT_TRUE(error.ok()) << error.name();
  EXPECT_TRUE(fsync(fd).ok());
  EXPECT_EQ(server_.content().size(), text.size());
}

TEST_F(FlushTest, FsyncAlwaysAsksARelaxedServer) {
  server_.script([](rpc_test::Script& s) { s.relaxed = true; });
  mount();
  int fd = open("/f");
  ASSERT_GE(fd, 0);
  ASSERT_TRUE(write(fd, "text").ok());
  EXPECT_TRUE(fsync(fd).ok());
  EXPECT_EQ(server_.commits, 1);
  // There may be changes that no page knows of.
  EXPECT_TRUE(fsync(fd).ok());
  EXPECT_EQ(server_.commits, 2);
  // Who wants no waiting for the disk gets none at close either.
  ASSERT_TRUE(write(fd, "more").ok());
  EXPECT_TRUE(close(fd).ok());
  EXPECT_EQ(server_.content(), "more");
  EXPECT_EQ(server_.commits, 2);
}

TEST_F(FlushTest, FsyncOfWhatIsDurableAsksNobody) {
  mount();
  int fd = open("/f");
  ASSERT_GE(fd, 0);
  ASSERT_TRUE(write(fd, "text").ok());
  EXPECT_TRUE(fsync(fd).ok());
  const int executed = server_.executed;
  EXPECT_TRUE(fsync(fd).ok());
  EXPECT_EQ(server_.executed, executed);
}

TEST_F(FlushTest, WritesPastTheCacheOfARelaxedServerMayBeLostWithIt) {
  server_.script([](rpc_test::Script& s) {
    s.relaxed = true;
    s.grants = false;
  });
  mount();
  int fd = open("/f");
  ASSERT_GE(fd, 0);
  auto restart = [&] {
    server_.script([](rpc_test::Script& s) { s.bind_errno = ESTALE; });
    const int logins = server_.logins;
    server_.break_connections();
    EXPECT_TRUE(eventually([&] { return server_.logins > logins; }));
  };
  ASSERT_TRUE(write(fd, "text").ok());
  EXPECT_TRUE(fsync(fd).ok());
  restart();
  EXPECT_TRUE(fsync(fd).ok());
  ASSERT_TRUE(write(fd, "more").ok());
  restart();
  EXPECT_EQ(fsync(fd), Errno(EIO));
  EXPECT_TRUE(fsync(fd).ok());
}

// A change that its caller has given up, whose answer comes later.
class GivenUpTest : public FlushTest {
 protected:
  static constexpr size_t kSize_bytes = 8192;
  void SetUp() override {
    server_.set_content(std::string(kSize_bytes, 'o'));
    mount();
    fd_ = open("/f", O_RDWR);
    ASSERT_GE(fd_, 0);
    ASSERT_EQ(read(fd_, 3), "ooo");
    ASSERT_EQ(read(fd_, 3, 4096), "ooo");
  }
  // The server does not answer `change`, and then whatever else it is asked. Somebody else writes.
  template <typename Fn>
  void give_up(Fn change) {
    server_.script([](rpc_test::Script& s) { s.hold = true; });
    EXPECT_EQ(change(within(50 * kNsPerMs)), Errno(ETIMEDOUT));
    server_.script([](rpc_test::Script& s) { s.hold = false; });
    server_.set_content(std::string(kSize_bytes, 'n'));
  }
  bool settled() {
    server_.release_held();
    return eventually([&] { return inode(fd_).i_changing.load() == 0; });
  }
  int fd_ = -1;
};

TEST_F(GivenUpTest, NoReadBelievesTheCacheMeanwhile) {
  give_up(
      [&](const CallContext& ctx) { return fs::vfs_ftruncate(ctx, *task_, fd_, 4096).error(); });
  EXPECT_EQ(read(fd_, 3), "nnn");
  struct NoWaker final : Waker {
    void wake() override {}
  } waker;
  char byte;
  const iovec to{&byte, 1};
  auto steps = fs::ReadSteps::begin(*task_, fd_, fs::IoVec(&to, 1), 0, waker);
  ASSERT_TRUE(steps.ok());
  EXPECT_EQ((*steps)->step(), fs::ReadSteps::Progress::kBlocked);
  ASSERT_TRUE(settled());
  EXPECT_EQ(read(fd_, 3), "nnn");
}

TEST_F(GivenUpTest, NoPinHoldsMeanwhile) {
  RefPtr<fs::File> file = task_->files.fget(fd_);
  auto pinned = fs::vfs_pin_pages(patient(), *file, 0, 3, 1);
  ASSERT_TRUE(pinned.ok());
  EXPECT_TRUE(fs::vfs_pin_holds(*file, *pinned));
  give_up(
      [&](const CallContext& ctx) { return fs::vfs_ftruncate(ctx, *task_, fd_, 4096).error(); });
  EXPECT_FALSE(fs::vfs_pin_holds(*file, *pinned));
  EXPECT_EQ(fs::vfs_pin_pages(patient(), *file, 0, 3, 1).error(), Errno(EAGAIN));
  ASSERT_TRUE(settled());
  EXPECT_TRUE(fs::vfs_pin_pages(patient(), *file, 0, 3, 1).ok());
}

TEST_F(GivenUpTest, NorWhenItIsAnUncachedWrite) {
  const int direct = open("/f", O_RDWR | O_DIRECT);
  ASSERT_EQ(ino(direct), ino(fd_));
  give_up([&](const CallContext& ctx) {
    return fs::vfs_pwrite(ctx, *task_, direct, std::string(512, 'd').data(), 512, 0).error();
  });
  EXPECT_EQ(read(fd_, 3, 4096), "nnn");
  ASSERT_TRUE(settled());
  EXPECT_EQ(read(fd_, 3, 4096), "nnn");
}

TEST_F(GivenUpTest, ContentIsBelievedWhileItIsOfTheMode) {
  give_up([&](const CallContext& ctx) { return fs::vfs_fchmod(ctx, *task_, fd_, 0600).error(); });
  ASSERT_NE(inode(fd_).i_changing.load(), 0u);
  EXPECT_EQ(read(fd_, 3), "ooo");
  ASSERT_TRUE(write(fd_, "w").ok());
  EXPECT_EQ(read(fd_, 3), "woo");
  RefPtr<fs::File> file = task_->files.fget(fd_);
  EXPECT_TRUE(fs::vfs_pin_pages(patient(), *file, 0, 3, 1).ok());
  EXPECT_EQ(super().counters().uncached_reads.value(), 0);
  EXPECT_EQ(super().counters().uncached_writes.value(), 0);
  ASSERT_TRUE(settled());
}

TEST_F(GivenUpTest, WhatReadsPastTheCacheIsNotReadForAPin) {
  const int direct = open("/f", O_RDWR | O_DIRECT);
  RefPtr<fs::File> file = task_->files.fget(direct);
  const int queries = server_.queries;
  EXPECT_EQ(fs::vfs_pin_pages(patient(), *file, 0, 3, 1).error(), Errno(EAGAIN));
  EXPECT_EQ(server_.queries, queries);
}

// What lies beside the bytes written may be old.
TEST_F(GivenUpTest, NoWriteBuildsOnTheCacheMeanwhile) {
  give_up(
      [&](const CallContext& ctx) { return fs::vfs_ftruncate(ctx, *task_, fd_, 4096).error(); });
  ASSERT_TRUE(write(fd_, "w", 1).ok());
  ASSERT_TRUE(fsync(fd_).ok());
  EXPECT_EQ(server_.content().substr(0, 3), "nwn");
  ASSERT_TRUE(settled());
}

}  // namespace
}  // namespace myfs::netfs
