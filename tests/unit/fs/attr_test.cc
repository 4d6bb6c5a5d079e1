#include "sdk/fs/attr.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "sdk/fs/permission.h"
#include "tests/unit/fs/fs_fixture.h"

namespace myfs::fs {
namespace {

class AttrTest : public FsFixture {
 protected:
  AttrTest() {
    EXPECT_EQ(create("/mine", 0640), 0);
    EXPECT_EQ(chown("/mine", 1000, 1000), 0);
    EXPECT_EQ(create("/roots", 0644), 0);
  }
  int chown(std::string_view path, uint32_t uid, uint32_t gid) {
    return chown(root, path, uid, gid);
  }
  int chown(const CallContext& ctx, std::string_view path, uint32_t uid, uint32_t gid) {
    return errno_of(vfs_chown(ctx, task, {AT_FDCWD, path}, uid, gid, 0));
  }
  int chmod(const CallContext& ctx, std::string_view path, uint32_t mode) {
    return errno_of(vfs_chmod(ctx, task, {AT_FDCWD, path}, mode, 0));
  }
  int utimens(const CallContext& ctx, std::string_view path, const timespec* times) {
    return errno_of(vfs_utimens(ctx, task, {AT_FDCWD, path}, times, 0));
  }
  int access(const CallContext& ctx, std::string_view path, int mode) {
    return errno_of(vfs_access(ctx, task, {AT_FDCWD, path}, mode, 0));
  }
  Kstat attr(std::string_view path) {
    Kstat found;
    EXPECT_EQ(stat(path, &found), 0);
    return found;
  }
};

TEST(GenericPermission, bits_of_the_right_class) {
  const Cred owner{.uid = 1, .gid = 9, .groups = {}}, member{.uid = 2, .gid = 9, .groups = {5}},
      other{.uid = 3, .gid = 9, .groups = {}}, superuser{};
  auto may = [](const Cred& cred, uint32_t mode, uint32_t mask) {
    Perm perm;
    perm.mode = mode;
    perm.uid = 1;
    perm.gid = 5;
    return generic_permission(cred, perm, mask).ok();
  };
  EXPECT_TRUE(may(owner, S_IFREG | 0400, MAY_READ));
  EXPECT_FALSE(may(owner, S_IFREG | 0077, MAY_READ));
  EXPECT_TRUE(may(member, S_IFREG | 0020, MAY_WRITE));
  EXPECT_FALSE(may(member, S_IFREG | 0707, MAY_WRITE));
  EXPECT_TRUE(may(other, S_IFREG | 0001, MAY_EXEC));
  EXPECT_FALSE(may(other, S_IFREG | 0770, MAY_READ));
  EXPECT_FALSE(may(other, S_IFREG | 0004, MAY_READ | MAY_WRITE));
  EXPECT_TRUE(may(superuser, S_IFREG | 0000, MAY_READ | MAY_WRITE));
  EXPECT_FALSE(may(superuser, S_IFREG | 0666, MAY_EXEC));
  EXPECT_TRUE(may(superuser, S_IFREG | 0001, MAY_EXEC));
  EXPECT_TRUE(may(superuser, S_IFDIR | 0000, MAY_EXEC));
}

TEST_F(AttrTest, chmod_is_the_owners) {
  EXPECT_EQ(chmod(user, "/mine", 0604), 0);
  EXPECT_EQ(attr("/mine").mode, S_IFREG | 0604u);
  EXPECT_EQ(chmod(user, "/roots", 0777), EPERM);
  EXPECT_EQ(chmod(user, "/nope", 0777), ENOENT);
  EXPECT_EQ(chmod(root, "/mine", 0177777), 0);
  EXPECT_EQ(attr("/mine").mode, S_IFREG | 07777u);
  ASSERT_EQ(symlink("mine", "/l"), 0);
  EXPECT_EQ(errno_of(vfs_chmod(root, task, {AT_FDCWD, "/l"}, 0600, AT_SYMLINK_NOFOLLOW)),
            EOPNOTSUPP);
  EXPECT_EQ(errno_of(vfs_fchmod(root, task, 55, 0600)), EBADF);
}

TEST_F(AttrTest, setgid_is_lost_by_owners_outside_the_group) {
  ASSERT_EQ(chown("/mine", 1000, 50), 0);
  EXPECT_EQ(chmod(user, "/mine", 02755), 0);
  EXPECT_EQ(attr("/mine").mode, S_IFREG | 0755u);
}

TEST_F(AttrTest, chown_rules) {
  EXPECT_EQ(chown(user, "/mine", 1001, kNoId), EPERM);
  EXPECT_EQ(chown(user, "/mine", kNoId, 50), EPERM);
  EXPECT_EQ(chown(user, "/roots", kNoId, 1000), EPERM);
  EXPECT_EQ(chown(user, "/mine", 1000, 1000), 0);
  CallContext member = user;
  member.cred = std::make_shared<const Cred>(Cred{.uid = 1000, .gid = 1000, .groups = {50}});
  EXPECT_EQ(chown(member, "/mine", kNoId, 50), 0);
  EXPECT_EQ(attr("/mine").gid, 50u);
  ASSERT_EQ(chmod(root, "/mine", 06755), 0);
  EXPECT_EQ(chown(root, "/mine", 7, kNoId), 0);
  EXPECT_EQ(attr("/mine").mode, S_IFREG | 0755u);
  EXPECT_EQ(attr("/mine").uid, 7u);
  EXPECT_EQ(attr("/mine").gid, 50u);
}

TEST_F(AttrTest, utimens_rules) {
  const timespec set[2] = {{10, 20}, {-30, 999'999'999}};
  const timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
  const timespec half[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
  const timespec none[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
  const timespec bad[2] = {{0, 1'000'000'000}, {0, 0}};
  EXPECT_EQ(utimens(user, "/mine", set), 0);
  EXPECT_EQ(attr("/mine").atime, (Time{10, 20}));
  EXPECT_EQ(attr("/mine").mtime, (Time{-30, 999'999'999}));
  EXPECT_EQ(utimens(user, "/mine", half), 0);
  EXPECT_EQ(attr("/mine").atime, (Time{10, 20}));
  EXPECT_GT(attr("/mine").mtime.sec, 1'000'000'000);
  EXPECT_EQ(utimens(user, "/roots", set), EPERM);
  EXPECT_EQ(utimens(user, "/roots", half), EPERM);
  EXPECT_EQ(utimens(user, "/roots", now), EACCES);
  EXPECT_EQ(utimens(user, "/roots", nullptr), EACCES);
  EXPECT_EQ(utimens(user, "/roots", none), 0);
  EXPECT_EQ(utimens(user, "/nope", none), 0);
  EXPECT_EQ(utimens(user, "/mine", bad), EINVAL);
  ASSERT_EQ(chmod(root, "/roots", 0666), 0);
  EXPECT_EQ(utimens(user, "/roots", now), 0);
  EXPECT_EQ(utimens(user, "/roots", nullptr), 0);
}

TEST_F(AttrTest, changed_attributes_are_known_and_times_move) {
  Kstat before = attr("/mine");
  int asked = ramfs->calls.getattr;
  ASSERT_EQ(chmod(root, "/mine", 0600), 0);
  EXPECT_GT(attr("/mine").change, before.change);
  EXPECT_GE(attr("/mine").ctime, before.ctime);
  EXPECT_EQ(ramfs->calls.getattr, asked);
}

TEST_F(AttrTest, access) {
  EXPECT_EQ(access(user, "/roots", F_OK), 0);
  EXPECT_EQ(access(user, "/roots", R_OK), 0);
  EXPECT_EQ(access(user, "/roots", W_OK), EACCES);
  EXPECT_EQ(access(user, "/mine", R_OK | W_OK), 0);
  EXPECT_EQ(access(root, "/mine", X_OK), EACCES);
  EXPECT_EQ(access(root, "/nope", F_OK), ENOENT);
  EXPECT_EQ(access(root, "/mine", 64), EINVAL);
  ramfs->revoke_everything();
  EXPECT_EQ(access(user, "/roots", W_OK), EACCES);
}

TEST_F(AttrTest, statfs) {
  Result<Kstatfs> found = vfs_statfs(root, task, {AT_FDCWD, "/mine"});
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->f_namelen, 255u);
  EXPECT_EQ(found->f_flags & 1, 0u);
  task.nsproxy->root()->write_count().set_read_only(true);
  EXPECT_EQ(vfs_statfs(root, task, {AT_FDCWD, "/"})->f_flags & 1, 1u);
  EXPECT_EQ(errno_of(vfs_statfs(root, task, {AT_FDCWD, "/nope"})), ENOENT);
  EXPECT_EQ(errno_of(vfs_fstatfs(root, task, 77)), EBADF);
}

TEST_F(AttrTest, xattrs) {
  const At at{AT_FDCWD, "/mine"};
  auto set = [&](const CallContext& ctx, std::string_view name, std::string_view value,
                 uint32_t flags) {
    return errno_of(vfs_setxattr(ctx, task, at, 0, name, value, flags));
  };
  auto get = [&](const CallContext& ctx, std::string_view name) {
    return errno_of(vfs_getxattr(ctx, task, at, 0, name));
  };
  EXPECT_EQ(set(user, "user.a", "1", 1), 0);
  EXPECT_EQ(set(user, "user.a", "2", 1), EEXIST);
  EXPECT_EQ(set(user, "user.a", "3", 2), 0);
  EXPECT_EQ(set(user, "user.b", "3", 2), ENODATA);
  EXPECT_EQ(set(user, "user.a", "3", 4), EINVAL);
  EXPECT_EQ(*vfs_getxattr(user, task, at, 0, "user.a"), "3");
  EXPECT_EQ(get(user, "user.b"), ENODATA);
  EXPECT_EQ(get(user, ""), ERANGE);
  EXPECT_EQ(get(user, "user." + std::string(251, 'n')), ERANGE);
  EXPECT_EQ(get(user, "user."), EINVAL);
  EXPECT_EQ(get(user, "strange.a"), EOPNOTSUPP);
  EXPECT_EQ(set(user, "strange.a", "", 0), EOPNOTSUPP);
  EXPECT_EQ(set(user, "user.big", std::string(65537, 'x'), 0), E2BIG);
  EXPECT_EQ(set(user, "trusted.t", "", 0), EPERM);
  EXPECT_EQ(set(root, "trusted.t", "", 0), 0);
  EXPECT_EQ(get(user, "trusted.t"), ENODATA);
  EXPECT_EQ(vfs_listxattr(user, task, at, 0)->size(), 1u);
  EXPECT_EQ(vfs_listxattr(root, task, at, 0)->size(), 2u);
  ASSERT_EQ(symlink("mine", "/l"), 0);
  const At link{AT_FDCWD, "/l"};
  EXPECT_EQ(errno_of(vfs_setxattr(root, task, link, AT_SYMLINK_NOFOLLOW, "user.x", "", 0)), EPERM);
  EXPECT_EQ(errno_of(vfs_getxattr(root, task, link, AT_SYMLINK_NOFOLLOW, "user.x")), ENODATA);
  EXPECT_EQ(*vfs_getxattr(root, task, link, 0, "user.a"), "3");
  EXPECT_EQ(errno_of(vfs_removexattr(user, task, at, 0, "user.a")), 0);
  EXPECT_EQ(errno_of(vfs_removexattr(user, task, at, 0, "user.a")), ENODATA);
}

}  // namespace
}  // namespace myfs::fs
