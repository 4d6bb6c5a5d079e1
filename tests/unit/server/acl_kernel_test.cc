// The server's verdict on random inodes against the kernel's. Needs root.
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <random>
#include <string>
#include <vector>

#include "server/permission.h"

namespace myfs::server {
namespace {

class AclKernel : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(0u, ::geteuid()) << "this test needs root";
    fd_ = ::open("/dev/shm", O_TMPFILE | O_RDWR, 0600);
    ASSERT_GE(fd_, 0) << errno;
  }
  void TearDown() override {
    if (fd_ >= 0) ::close(fd_);
  }
  uint32_t below(uint32_t end) { return static_cast<uint32_t>(random_() % end); }
  uint32_t some_id() { return 1000 + below(4); }

  PosixAcl some_acl() {
    auto entry = [&](AclTag tag, uint32_t id) {
      return AclEntry{tag, static_cast<uint16_t>(below(8)), id};
    };
    std::vector<AclEntry> entries = {entry(AclTag::kUserObj, kAclNoId)};
    for (uint32_t i = below(3); i > 0; --i) entries.push_back(entry(AclTag::kUser, some_id()));
    entries.push_back(entry(AclTag::kGroupObj, kAclNoId));
    for (uint32_t i = below(4); i > 0; --i) entries.push_back(entry(AclTag::kGroup, some_id()));
    entries.push_back(entry(AclTag::kMask, kAclNoId));
    entries.push_back(entry(AclTag::kOther, kAclNoId));
    return PosixAcl(entries);
  }
  // Which masks the kernel grants: bit n for mask n.
  uint32_t granted_by_kernel(const Cred& cred) {
    const pid_t child = ::fork();
    if (child == 0) {
      const bool became = ::setgroups(cred.groups.size(), cred.groups.data()) == 0 &&
                          ::setresgid(cred.gid, cred.gid, cred.gid) == 0 &&
                          ::setresuid(cred.uid, cred.uid, cred.uid) == 0;
      if (!became) ::_exit(255);
      int bits = 0;
      for (int mask = 1; mask < 8; ++mask) {
        if (::syscall(SYS_faccessat2, fd_, "", mask, AT_EMPTY_PATH) == 0) bits |= 1 << (mask - 1);
      }
      ::_exit(bits);
    }
    int status = 0;
    EXPECT_EQ(child, ::waitpid(child, &status, 0));
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) != 255);
    return static_cast<uint32_t>(WEXITSTATUS(status)) << 1;
  }

  std::mt19937_64 random_{1};
  int fd_ = -1;
};

TEST_F(AclKernel, verdicts_agree) {
  for (int i = 0; i < 3000 && !HasFailure(); ++i) {
    const PosixAcl acl = some_acl();
    ASSERT_TRUE(acl.valid().ok());
    const std::string value = acl.to_xattr();
    const uint32_t uid = some_id(), gid = some_id();
    ASSERT_EQ(0, ::fchown(fd_, uid, gid));
    ASSERT_EQ(0, ::fsetxattr(fd_, "system.posix_acl_access", value.data(), value.size(), 0));
    struct stat st {};
    ASSERT_EQ(0, ::fstat(fd_, &st));
    uint32_t mode = S_IFREG;
    EXPECT_FALSE(acl.equiv_mode(&mode));
    ASSERT_EQ(st.st_mode, mode);
    const Owner inode{.mode = mode, .uid = uid, .gid = gid, .acl = &acl};
    Cred cred{.uid = below(20) == 0 ? 0 : some_id(), .gid = some_id(), .groups = {}};
    for (uint32_t n = below(3); n > 0; --n) cred.groups.push_back(some_id());
    const uint32_t granted = granted_by_kernel(cred);
    for (int mask = 1; mask < 8; ++mask) {
      EXPECT_EQ((granted >> mask & 1) != 0, may(inode, cred, mask).ok())
          << "round " << i << " mask " << mask << " uid " << cred.uid << " mode " << std::oct
          << mode;
    }
  }
}

}  // namespace
}  // namespace myfs::server
