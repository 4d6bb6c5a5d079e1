// Access control lists between two clients: what one sets decides for the other at once, and costs
// him nothing while it stays.
#include <fcntl.h>

#include <functional>

#include "tests/integration/two_clients.h"
#include "tests/support/myfsd/acl_bytes.h"

namespace myfs::test {
namespace {

class AclOfTwo : public TwoClients {
 protected:
  void SetUp() override {
    TwoClients::SetUp();
    ASSERT_EQ(0, myfs_mkdir(a(), "/d", 0700));
    ASSERT_EQ(0, a().put("/d/f", "text"));
    ASSERT_EQ(0, myfs_chmod(a(), "/d/f", 0600));
  }
  static int set(Client& client, const char* path, uint16_t perm, const char* name = kAclAccess) {
    const std::string list = acl_bytes({{1, 7}, {2, perm, 1234567}, {4, 0}, {16, 7}, {32, 0}});
    return myfs_setxattr(client, path, name, list.data(), list.size(), 0, 0);
  }
  int access(Client& client, const char* path, int mask) {
    return myfs_access_x(client, &call_, path, mask);
  }
  int open_close(Client& client, const char* path, int flags) {
    int fd = myfs_open_x(client, &call_, path, flags, 0);
    return fd < 0 ? fd : myfs_close(client, fd);
  }

 private:
  const myfs_cred cred_{sizeof(myfs_cred), 1234567, 1234567, nullptr, 0};
  const myfs_call call_{sizeof(myfs_call), &cred_, 0, nullptr};
};
MYFS_ON_BOTH_TRANSPORTS(AclOfTwo);

TEST_P(AclOfTwo, WhatASetsDecidesForBAtOnce) {
  for (int round = 0; round < 20; ++round) {
    ASSERT_EQ(0, set(a(), "/d", 1));
    ASSERT_EQ(0, set(a(), "/d/f", 4));
    EXPECT_EQ(0, access(b(), "/d/f", R_OK)) << round;
    EXPECT_EQ(-EACCES, access(b(), "/d/f", W_OK)) << round;
    EXPECT_EQ(0, open_close(b(), "/d/f", O_RDONLY)) << round;
    ASSERT_EQ(0, set(a(), "/d/f", 2));
    EXPECT_EQ(-EACCES, access(b(), "/d/f", R_OK)) << round;
    EXPECT_EQ(-EACCES, open_close(b(), "/d/f", O_RDONLY)) << round;
    EXPECT_EQ(0, open_close(b(), "/d/f", O_WRONLY)) << round;
    ASSERT_EQ(0, myfs_chmod(a(), "/d/f", 0600));
    EXPECT_EQ(-EACCES, access(b(), "/d/f", W_OK)) << round;
    ASSERT_EQ(0, set(a(), "/d", 6));
    EXPECT_EQ(-EACCES, access(b(), "/d/f", F_OK)) << round;
    ASSERT_EQ(0, myfs_removexattr(a(), "/d", kAclAccess, 0));
    EXPECT_EQ(-EACCES, access(b(), "/d/f", F_OK)) << round;
  }
}

TEST_P(AclOfTwo, ADefaultListCountsForTheOthersNextFile) {
  myfs_umask(b(), 077);
  ASSERT_EQ(0, b().put("/d/before", ""));
  EXPECT_EQ(0600u, b().stat("/d/before").st_mode & 0777);
  ASSERT_EQ(0, set(a(), "/d", 6, kAclDefault));
  ASSERT_EQ(0, b().put("/d/after", ""));
  EXPECT_EQ(0640u, a().stat("/d/after").st_mode & 0777);
  ASSERT_EQ(0, myfs_removexattr(a(), "/d", kAclDefault, 0));
  ASSERT_EQ(0, b().put("/d/last", ""));
  EXPECT_EQ(0600u, a().stat("/d/last").st_mode & 0777);
}

TEST_P(AclOfTwo, AnOpenFileOutlivesTheList) {
  ASSERT_EQ(0, set(a(), "/d", 1));
  ASSERT_EQ(0, set(a(), "/d/f", 4));
  ASSERT_EQ(0, access(b(), "/d/f", R_OK));
  const myfs_cred cred{sizeof cred, 1234567, 1234567, nullptr, 0};
  const myfs_call call{sizeof call, &cred, 0, nullptr};
  int fd = myfs_open_x(b(), &call, "/d/f", O_RDONLY, 0);
  ASSERT_GE(fd, 0) << last_message();
  ASSERT_EQ(0, set(a(), "/d/f", 0));
  EXPECT_EQ("text", b().get(fd));
  EXPECT_EQ(-EACCES, open_close(b(), "/d/f", O_RDONLY));
  EXPECT_EQ(0, myfs_close(b(), fd));
}

TEST_P(AclOfTwo, WhatIsCachedAsksNobody) {
  ASSERT_EQ(0, set(a(), "/d", 5));
  ASSERT_EQ(0, set(a(), "/d/f", 6));
  auto work = [&] {
    EXPECT_EQ(0, access(b(), "/d/f", R_OK | W_OK));
    EXPECT_EQ(-EACCES, access(b(), "/d/f", X_OK));
    EXPECT_EQ(-EACCES, access(b(), "/d", W_OK));
    EXPECT_EQ(0, open_close(b(), "/d/f", O_RDONLY));
    char value[100];
    EXPECT_EQ(44, myfs_getxattr(b(), "/d/f", kAclAccess, value, sizeof value, 0));
    EXPECT_EQ(-ENODATA, myfs_getxattr(b(), "/d", kAclDefault, value, sizeof value, 0));
  };
  for (int round = 0; round < 10; ++round) {
    const uint64_t operations = a().server_operations();
    const uint64_t calls = b().stats().rpcs;
    for (int i = 0; i < 100; ++i) work();
    if (b().stats().rpcs == calls && a().server_operations() == operations) return;
  }
  FAIL() << "it asks again and again";
}

}  // namespace
}  // namespace myfs::test
