// Changes that the server has carried out and that fail all the same: given up, or answered without
// attributes.
#include "tests/unit/netfs/mount_fixture.h"

#include "sdk/base/error_detail.h"
#include "sdk/fs/attr.h"
#include "sdk/fs/namei_ops.h"

namespace myfs::netfs {
namespace {

class NetOpen : public MountFixture {
 protected:
  void SetUp() override { mount(); }
  // Answers of changes bring no attributes, and to ask for these gives `error`.
  void lose_attributes(int32_t error) {
    server_.script([&](rpc_test::Script& s) {
      s.bare_changes = true;
      s.getattr_errno = error;
    });
  }
  bool told_of_closed(int opens) {
    return eventually([&] { return server_.closed_opens.load() == opens; });
  }
};

TEST_F(NetOpen, AttributesThatAReplayLacksAreAskedFor) {
  lose_attributes(0);
  const int made = open("made");
  EXPECT_GE(made, 0);
  EXPECT_EQ(write(made, "text"), Errno());
  EXPECT_EQ(close(made), Errno());
  EXPECT_TRUE(told_of_closed(1));
}

TEST_F(NetOpen, ACreateWhoseAttributesAreNotToBeHadLeavesNoOpenBehind) {
  lose_attributes(EIO);
  EXPECT_EQ(open("made"), -EIO);
  EXPECT_TRUE(thread_error_detail().in_doubt);
  EXPECT_EQ(server_.executed.load(), 1);
  EXPECT_TRUE(told_of_closed(1));
}

// ESTALE is the file's, not the directory's, and nothing is made twice.
TEST_F(NetOpen, ACreateWhoseFileIsGoneAgainIsNotRepeated) {
  lose_attributes(ESTALE);
  EXPECT_EQ(open("made"), -EIO);
  EXPECT_EQ(server_.executed.load(), 1);
  lose_attributes(0);
  EXPECT_GE(open("other"), 0);
}

TEST_F(NetOpen, AnOpenWhoseAttributesAreNotToBeHadLeavesNoneBehind) {
  server_.script([](rpc_test::Script& s) { s.grants = false; });
  lose_attributes(EIO);
  EXPECT_EQ(open("a", O_RDONLY), -EIO);
  EXPECT_TRUE(told_of_closed(1));
  lose_attributes(0);
  const int fd = open("a", O_RDONLY);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(inode(fd).lease.opens(), 1u);
}

// The server keeps what is open there, whatever it grants.
TEST_F(NetOpen, APlaceThatNoLeaseKeepsIsRegistered) {
  server_.script([](rpc_test::Script& s) { s.grants = false; });
  for (const uint32_t flags : {uint32_t{O_PATH}, uint32_t{O_RDONLY | O_DIRECTORY}}) {
    const int64_t before = super().counters().server_opens.value();
    const int closed = server_.closed_opens.load();
    const int fd = open((flags & O_PATH) != 0 ? "a" : "/", flags);
    ASSERT_GE(fd, 0);
    EXPECT_EQ(super().counters().server_opens.value(), before + 1);
    EXPECT_EQ(close(fd), Errno());
    EXPECT_TRUE(told_of_closed(closed + 1));
  }
}

// Somebody else may have changed the file between the two sessions.
TEST_F(NetOpen, AChangeThatIsMadeIsNotRepeatedInAnotherSession) {
  const int fd = open("made");
  ASSERT_GE(fd, 0);
  const int executed = server_.executed.load();
  server_.script([](rpc_test::Script& s) { s.bare_changes = s.getattr_ends_session = true; });
  EXPECT_EQ(fs::vfs_ftruncate(patient(), *task_, fd, 10).error(), Errno(EIO));
  EXPECT_TRUE(thread_error_detail().in_doubt);
  EXPECT_EQ(server_.executed.load(), executed + 1);
  server_.script([](rpc_test::Script& s) { s.bare_changes = false; });
}

// Until the final answer the server is asked; then nothing is believed of what was known before.
TEST_F(NetOpen, WhatAChangeThatWasGivenUpMayHaveChangedIsForgotten) {
  const int fd = open("made");
  ASSERT_GE(fd, 0);
  NetInode& file = inode(fd);
  ASSERT_TRUE(file.lease.covers(fs::kLeaseA | fs::kLeaseW));
  ASSERT_TRUE(write(fd, "text").ok());
  ASSERT_TRUE(fsync(fd).ok());
  server_.script([](rpc_test::Script& s) { s.hold = true; });
  EXPECT_EQ(fs::vfs_ftruncate(within(50 * kNsPerMs), *task_, fd, 0).error(), Errno(ETIMEDOUT));
  EXPECT_NE(file.i_changing.load(), 0u);
  server_.release_held();
  EXPECT_TRUE(eventually([&] { return file.i_changing.load() == 0; }));
  EXPECT_EQ(super().counters().changes_in_doubt.value(), 1);
  EXPECT_FALSE(file.lease.covers(fs::kLeaseA));
  EXPECT_FALSE(file.lease.covers(fs::kLeaseR));
  EXPECT_EQ(file.mapping()->nr_pages(), 0u);
  EXPECT_TRUE(eventually([&] { return server_.releases.load() == 1; }));
  EXPECT_EQ(read(fd, 4), "");
}

TEST_F(NetOpen, ADirectoryWhoseChangeWasGivenUpIsForgotten) {
  NetInode& root = net_inode(*super().sb().s_root().d_inode());
  server_.script([](rpc_test::Script& s) { s.hold = true; });
  EXPECT_EQ(fs::vfs_mkdir(within(50 * kNsPerMs), *task_, {AT_FDCWD, "/d"}, 0755).error(),
            Errno(ETIMEDOUT));
  EXPECT_NE(root.i_changing.load(), 0u);
  const uint32_t version = root.i_lease.version();
  {
    MutexLock lock(root.lease.mu);
    const uint16_t generation = super().validity().generation.load();
    EXPECT_TRUE(root.lease.accept_locked(
        {.ino = root.i_ino, .parts = fs::kLeaseA | fs::kLeaseD, .seq = 1000}, generation));
    root.lease.publish_locked(0);
  }
  server_.release_held();
  EXPECT_TRUE(eventually([&] { return root.i_changing.load() == 0; }));
  EXPECT_FALSE(root.lease.covers(fs::kLeaseD));
  EXPECT_NE(root.i_lease.version(), version);
}

// The server may carry it out all the same: closed once it has, not before.
class GivenUpOpen : public NetOpen {
 protected:
  // What `flags` open at the server is given up, answered after that, and closed.
  void give_up(std::string_view path, uint32_t flags) {
    server_.script([](rpc_test::Script& s) { s.hold_opens = true; });
    EXPECT_EQ(fs::vfs_open(within(50 * kNsPerMs), *task_, {AT_FDCWD, path}, flags, 0644).error(),
              Errno(ETIMEDOUT));
    EXPECT_EQ(server_.executed.load(), 1);
    Kstat other;
    EXPECT_TRUE(fs::vfs_stat(patient(), *task_, {AT_FDCWD, "/other"}, 0, &other).ok());
    EXPECT_EQ(server_.closed_opens.load(), 0);
    server_.release_held();
    EXPECT_TRUE(told_of_closed(1));
    EXPECT_EQ(super().counters().changes_in_doubt.value(), 1);
  }
};

TEST_F(GivenUpOpen, IsClosedAtTheServerOnceItIsAnswered) {
  server_.script([](rpc_test::Script& s) { s.grants = false; });
  give_up("/a", O_RDONLY);
}

TEST_F(GivenUpOpen, IsClosedAtTheServerIfItTruncatesToo) { give_up("/a", O_RDWR | O_TRUNC); }

// What the answer grants keeps the file, too: a pin whose holder does not know of it.
TEST_F(GivenUpOpen, LeavesNothingOfWhatItMade) {
  give_up("/made", O_RDWR | O_CREAT | O_EXCL);
  EXPECT_TRUE(eventually([&] { return server_.releases.load() >= 1; }));
}

TEST_F(GivenUpOpen, LeavesNothingOfAFileWithoutAName) {
  give_up("/", O_RDWR | O_TMPFILE);
  EXPECT_TRUE(eventually([&] { return server_.releases.load() >= 1; }));
}

TEST_F(NetOpen, ATruncationByOpenThatIsMadeIsNotRepeatedInAnotherSession) {
  server_.script([](rpc_test::Script& s) { s.bare_changes = s.getattr_ends_session = true; });
  EXPECT_EQ(open("/a", O_RDWR | O_TRUNC), -EIO);
  EXPECT_TRUE(thread_error_detail().in_doubt);
  EXPECT_EQ(server_.executed.load(), 1);
  server_.script([](rpc_test::Script& s) { s.bare_changes = false; });
}

TEST_F(NetOpen, ANewSetuidTakesWFromItsWriters) {
  const int fd = open("made");
  ASSERT_TRUE(write(fd, "text").ok());
  EXPECT_TRUE(fs::vfs_fchmod(patient(), *task_, fd, 06755).ok());
  EXPECT_FALSE(inode(fd).lease.covers(fs::kLeaseW));
}

}  // namespace
}  // namespace myfs::netfs
