// Access control lists: each errno, what setting and chmod make of list and mode, inheritance.
// Needs root.

#include <sys/xattr.h>

#include <vector>

#include "tests/posix/api_test.h"
#include "tests/support/myfsd/acl_bytes.h"

namespace myfs::test {
namespace {

class Acl : public ApiTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(0u, ::geteuid()) << "this test needs root";
    ApiTest::SetUp();
    ASSERT_EQ(0, myfs_chmod(task_, ".", 0777));
  }
  int set(const char* path, const std::string& value, const char* name = kAclAccess,
          const myfs_call* who = nullptr, int flags = 0, int nofollow = 0) {
    return myfs_setxattr_x(task_, who, path, name, value.data(), value.size(), flags, nofollow);
  }
  std::string get(const char* path, const char* name = kAclAccess, int nofollow = 0) {
    std::string value(1 << 16, '\0');
    ssize_t n = myfs_getxattr(task_, path, name, value.data(), value.size(), nofollow);
    if (n < 0) return error_text(n);
    value.resize(static_cast<size_t>(n));
    return value;
  }
  std::string list(const char* path) {
    std::string names(1000, '\0');
    ssize_t n = myfs_listxattr(task_, path, names.data(), names.size(), 0);
    names.resize(n < 0 ? 0 : static_cast<size_t>(n));
    return names;
  }
  int access(const char* path, int mask, const myfs_call* who) {
    return myfs_access_x(task_, who, path, mask);
  }
  // Others, and 1000 more than they.
  static std::string for_user(uint16_t perm, uint16_t mask = 7) {
    return acl_bytes({{1, 6}, {2, perm, 1000}, {4, 4}, {16, mask}, {32, 0}});
  }
};

TEST_F(Acl, ANamedUserMayWhatTheListSays) {
  make_file("f");
  ASSERT_EQ(0, myfs_chmod(task_, "f", 0600));
  EXPECT_EQ(-EACCES, access("f", R_OK, user()));
  ASSERT_EQ(0, set("f", for_user(6, 4))) << last_message();
  EXPECT_EQ(0, access("f", R_OK, user()));
  EXPECT_EQ(-EACCES, access("f", W_OK, user()));
  EXPECT_EQ(-EACCES, access("f", R_OK | W_OK, user()));
  ASSERT_EQ(0, myfs_chmod(task_, "f", 0660));
  EXPECT_EQ(0, access("f", R_OK | W_OK, user()));
  int fd = myfs_open_x(task_, user(), "f", O_RDWR, 0);
  ASSERT_GE(fd, 0) << last_message();
  close(fd);
}

TEST_F(Acl, DirectoriesAreSearchedByTheirLists) {
  make_dir("d", 0700);
  make_file("d/f");
  EXPECT_EQ(-EACCES, access("d/f", R_OK, user()));
  ASSERT_EQ(0, set("d", for_user(1)));
  EXPECT_EQ(0, access("d/f", R_OK, user()));
  EXPECT_EQ(-EACCES, myfs_mkdir_x(task_, user(), "d/s", 0755));
  myfs_dir* dir = nullptr;
  EXPECT_EQ(-EACCES, myfs_opendir_x(task_, user(), "d", &dir));
  ASSERT_EQ(0, set("d", for_user(7)));
  EXPECT_EQ(0, myfs_mkdir_x(task_, user(), "d/s", 0755)) << last_message();
  EXPECT_EQ(0, myfs_rename_x(task_, user(), "d/f", "d/g"));
  EXPECT_EQ(0, myfs_unlink_x(task_, user(), "d/g"));
}

TEST_F(Acl, WhoMayWriteByTheListMaySetTimesToNow) {
  make_file("f");
  EXPECT_EQ(-EACCES, myfs_utimens_x(task_, user(), "f", nullptr, 0));
  ASSERT_EQ(0, set("f", for_user(2)));
  EXPECT_EQ(0, myfs_utimens_x(task_, user(), "f", nullptr, 0)) << last_message();
  const struct timespec times[2] = {{1, 0}, {1, 0}};
  EXPECT_EQ(-EPERM, myfs_utimens_x(task_, user(), "f", times, 0));
}

TEST_F(Acl, ListAndModeFollowEachOther) {
  make_file("f");
  ASSERT_EQ(0, set("f", for_user(7, 5)));
  EXPECT_EQ(0650u, mode("f"));
  EXPECT_EQ(for_user(7, 5), get("f"));
  ASSERT_EQ(0, myfs_chmod(task_, "f", 0631));
  EXPECT_EQ(acl_bytes({{1, 6}, {2, 7, 1000}, {4, 4}, {16, 3}, {32, 1}}), get("f"));
  ASSERT_EQ(0, set("f", acl_bytes({{1, 7}, {4, 5}, {32, 0}})));
  EXPECT_EQ(0750u, mode("f"));
  EXPECT_EQ("<ENODATA>", get("f"));
  EXPECT_EQ("", list("f"));
}

TEST_F(Acl, ListsAreListedAndRemoved) {
  make_dir("d");
  ASSERT_EQ(0, set("d", for_user(7)));
  ASSERT_EQ(0, set("d", for_user(5), kAclDefault));
  EXPECT_EQ(for_user(5), get("d", kAclDefault));
  const std::string both = std::string(kAclAccess) + '\0' + kAclDefault + '\0';
  EXPECT_EQ(both, list("d"));
  ASSERT_EQ(0, myfs_removexattr(task_, "d", kAclAccess, 0));
  EXPECT_EQ(0, myfs_removexattr(task_, "d", kAclAccess, 0));
  EXPECT_EQ(0670u, mode("d"));
  ASSERT_EQ(0, set("d", "", kAclDefault));  // an empty one removes, too
  EXPECT_EQ("<ENODATA>", get("d", kAclDefault));
  EXPECT_EQ("", list("d"));
}

TEST_F(Acl, TheUmaskYieldsToADefaultList) {
  make_dir("d");
  myfs_umask(task_, 077);
  make_file("d/before");
  EXPECT_EQ(0600u, mode("d/before"));
  ASSERT_EQ(0, set("d", for_user(6), kAclDefault));
  make_file("d/f");
  EXPECT_EQ(0640u, mode("d/f"));
  EXPECT_EQ(acl_bytes({{1, 6}, {2, 6, 1000}, {4, 4}, {16, 4}, {32, 0}}), get("d/f"));
  ASSERT_EQ(0, myfs_mkdir(task_, "d/s", 0777));
  EXPECT_EQ(0670u, mode("d/s"));
  EXPECT_EQ(for_user(6), get("d/s", kAclDefault));
  ASSERT_EQ(0, myfs_mknod(task_, "d/p", S_IFIFO | 0600, 0));
  EXPECT_EQ(0600u, mode("d/p"));
  ASSERT_EQ(0, myfs_symlink(task_, "x", "d/l"));
  EXPECT_EQ(0777u, mode("d/l"));
  // What the list lets nobody have is not had by O_CREAT either, but for the one who made it.
  int fd = myfs_open(task_, "d/w", O_RDWR | O_CREAT, 0);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(0u, mode("d/w"));
  write(fd, "text");
  close(fd);
}

TEST_F(Acl, setxattr_EACCES) {
  make_file("f");
  EXPECT_EQ(-EACCES, set("f", for_user(6), kAclDefault));
  EXPECT_EQ(0, set("f", "", kAclDefault));
  EXPECT_EQ(0, myfs_removexattr(task_, "f", kAclDefault, 0));
}

TEST_F(Acl, OthersThanTheOwnerGetEPERM) {
  make_file("f");
  EXPECT_EQ(-EPERM, set("f", for_user(6), kAclAccess, user()));
  EXPECT_EQ(-EPERM, myfs_removexattr_x(task_, user(), "f", kAclAccess, 0));
  ASSERT_EQ(0, myfs_chown(task_, "f", 1000, 1000));
  EXPECT_EQ(0, set("f", for_user(6), kAclAccess, user()));
}

TEST_F(Acl, SymbolicLinksGetEOPNOTSUPP) {
  ASSERT_EQ(0, myfs_symlink(task_, "x", "l"));
  EXPECT_EQ(-EOPNOTSUPP, set("l", for_user(6), kAclAccess, nullptr, 0, 1));
  EXPECT_EQ("<EOPNOTSUPP>", get("l", kAclAccess, 1));
  EXPECT_EQ(-EOPNOTSUPP, myfs_removexattr(task_, "l", kAclAccess, 1));
}

TEST_F(Acl, WhatIsNoListGetsEINVAL) {
  make_file("f");
  EXPECT_EQ(-EINVAL, set("f", "abc"));
  EXPECT_EQ(-EINVAL, set("f", for_user(6) + "x"));
  EXPECT_EQ(-EINVAL, set("f", acl_bytes({{1, 6}, {4, 4}})));
  EXPECT_EQ(-EINVAL, set("f", acl_bytes({{1, 6}, {2, 6, 1000}, {4, 4}, {32, 4}})));
  EXPECT_EQ(-EINVAL, set("f", acl_bytes({{1, 8}, {4, 4}, {32, 4}})));
  EXPECT_EQ(-EINVAL, set("f", acl_bytes({{1, 6}, {2, 6, UINT32_MAX}, {4, 4}, {16, 6}, {32, 4}})));
  EXPECT_EQ(-EINVAL, set("f", for_user(6), kAclAccess, nullptr, 8));
  std::string other_version = for_user(6);
  other_version[0] = 1;
  EXPECT_EQ(-EOPNOTSUPP, set("f", other_version));
  EXPECT_EQ(0644u, mode("f"));
}

TEST_F(Acl, TooLongAListGetsENOSPC) {
  make_file("f");
  std::vector<AclItem> items = {{1, 6}};
  for (uint32_t uid = 0; uid < 1021; ++uid) items.push_back({2, 6, uid});
  for (uint16_t tag : {4, 16, 32}) items.push_back({tag, 4});
  EXPECT_EQ(-ENOSPC, set("f", acl_bytes(items)));
  items.erase(items.begin() + 1);
  EXPECT_EQ(0, set("f", acl_bytes(items))) << last_message();
  EXPECT_EQ(acl_bytes(items), get("f"));
  std::string value(100, '\0');
  EXPECT_EQ(-ERANGE, myfs_getxattr(task_, "f", kAclAccess, value.data(), value.size(), 0));
  EXPECT_EQ(4 + 8 * 1024, myfs_getxattr(task_, "f", kAclAccess, nullptr, 0, 0));
}

TEST_F(Acl, CreateAndReplaceMeanNothing) {
  make_file("f");
  EXPECT_EQ(0, set("f", for_user(6), kAclAccess, nullptr, XATTR_REPLACE));
  EXPECT_EQ(0, set("f", for_user(6), kAclAccess, nullptr, XATTR_CREATE));
}

TEST_F(Acl, ListsSurviveAServerCrash) {
  make_dir("d");
  ASSERT_EQ(0, set("d", for_user(7)));
  ASSERT_EQ(0, set("d", for_user(5), kAclDefault));
  restart_server();
  EXPECT_EQ(for_user(7), get("d"));
  EXPECT_EQ(for_user(5), get("d", kAclDefault));
  EXPECT_EQ(0, access("d", R_OK | W_OK | X_OK, user()));
}

}  // namespace
}  // namespace myfs::test
