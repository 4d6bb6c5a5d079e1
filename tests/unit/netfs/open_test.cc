// An open that the server has carried out and that fails all the same: the server is told.
#include "tests/unit/netfs/mount_fixture.h"

#include "sdk/base/error_detail.h"

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

}  // namespace
}  // namespace myfs::netfs
