// The calls that change names: results, errors, and what the cache knows afterwards.
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/fs/fs_fixture.h"

namespace myfs::fs {
namespace {

constexpr uint32_t kNoReplace = 1, kExchange = 2;

class NamesTest : public FsFixture {
 protected:
  NamesTest() {
    EXPECT_EQ(mkdir("/d"), 0);
    EXPECT_EQ(mkdir("/full"), 0);
    EXPECT_EQ(create("/full/x"), 0);
    EXPECT_EQ(create("/f"), 0);
    EXPECT_EQ(symlink("f", "/link"), 0);
    EXPECT_EQ(symlink("nowhere", "/dangling"), 0);
  }
  // The check with everything cached, and again with nothing.
  template <typename Fn>
  void warm_and_cold(Fn fn) {
    {
      SCOPED_TRACE("warm");
      fn();
    }
    SCOPED_TRACE("cold");
    ramfs->revoke_everything();
    fn();
    ramfs->revoke_everything();
    fn();
  }
};

TEST_F(NamesTest, mkdir_errors) {
  warm_and_cold([&] {
    EXPECT_EQ(mkdir("/d"), EEXIST);
    EXPECT_EQ(mkdir("/f"), EEXIST);
    EXPECT_EQ(mkdir("/link"), EEXIST);
    EXPECT_EQ(mkdir("/"), EEXIST);
    EXPECT_EQ(mkdir("/d/."), EEXIST);
    EXPECT_EQ(mkdir("/d/.."), EEXIST);
    EXPECT_EQ(mkdir("/nope/x"), ENOENT);
    EXPECT_EQ(mkdir("/f/x"), ENOTDIR);
    EXPECT_EQ(mkdir(""), ENOENT);
    EXPECT_EQ(mkdir("/" + std::string(256, 'n')), ENAMETOOLONG);
    EXPECT_EQ(errno_of(vfs_mkdir(user, task, {AT_FDCWD, "/d/x"}, 0755)), EACCES);
  });
}

TEST_F(NamesTest, mkdir_applies_mode_and_umask_and_takes_a_slash) {
  EXPECT_EQ(task.fs.set_umask(027), 022u);
  ASSERT_EQ(mkdir("/d/new/", 07777), 0);
  Kstat made;
  ASSERT_EQ(stat("/d/new", &made), 0);
  EXPECT_EQ(made.mode, S_IFDIR | 01750u);
  EXPECT_EQ(made.nlink, 2u);
}

TEST_F(NamesTest, mknod_types_and_errors) {
  EXPECT_EQ(errno_of(vfs_mknod(root, task, {AT_FDCWD, "/fifo"}, S_IFIFO | 0600, 5)), 0);
  EXPECT_EQ(errno_of(vfs_mknod(root, task, {AT_FDCWD, "/plain"}, 0600, 0)), 0);
  EXPECT_EQ(errno_of(vfs_mknod(root, task, {AT_FDCWD, "/dev"}, S_IFCHR | 0600, 77)), 0);
  Kstat found;
  EXPECT_EQ(stat("/fifo", &found), 0);
  EXPECT_EQ(found.mode, S_IFIFO | 0600u);
  EXPECT_EQ(found.rdev, 0u);
  EXPECT_EQ(stat("/dev", &found), 0);
  EXPECT_EQ(found.rdev, 77u);
  EXPECT_EQ(stat("/plain", &found), 0);
  EXPECT_TRUE(found.is_regular());
  EXPECT_EQ(errno_of(vfs_mknod(root, task, {AT_FDCWD, "/x"}, S_IFDIR, 0)), EPERM);
  EXPECT_EQ(errno_of(vfs_mknod(root, task, {AT_FDCWD, "/x"}, S_IFLNK, 0)), EINVAL);
  EXPECT_EQ(errno_of(vfs_mknod(user, task, {AT_FDCWD, "/x"}, S_IFBLK, 0)), EPERM);
  EXPECT_EQ(errno_of(vfs_mknod(root, task, {AT_FDCWD, "/x/"}, S_IFREG, 0)), ENOENT);
  EXPECT_EQ(errno_of(vfs_mknod(root, task, {AT_FDCWD, "/f/"}, S_IFREG, 0)), EEXIST);
  EXPECT_EQ(open("/fifo", O_RDONLY), -ENXIO);
  EXPECT_EQ(open("/dev", O_RDONLY), -ENXIO);
}

TEST_F(NamesTest, symlink_errors) {
  warm_and_cold([&] {
    EXPECT_EQ(symlink("", "/x"), ENOENT);
    EXPECT_EQ(symlink(std::string(4096, 't'), "/x"), ENAMETOOLONG);
    EXPECT_EQ(symlink("t", "/f"), EEXIST);
    EXPECT_EQ(symlink("t", "/dangling"), EEXIST);
    EXPECT_EQ(symlink("t", "/x/"), ENOENT);
    EXPECT_EQ(symlink("t", "/nope/x"), ENOENT);
  });
  EXPECT_EQ(symlink(std::string(4095, 't'), "/longest"), 0);
}

TEST_F(NamesTest, link_counts_and_errors) {
  ASSERT_EQ(link("/f", "/d/hard"), 0);
  Kstat found;
  ASSERT_EQ(stat("/f", &found), 0);
  EXPECT_EQ(found.nlink, 2u);
  EXPECT_EQ(ino("/d/hard"), found.ino);
  ASSERT_EQ(link("/link", "/hardlink"), 0);  // of the link itself
  ASSERT_EQ(lstat("/hardlink", &found), 0);
  EXPECT_TRUE(found.is_symlink());
  EXPECT_EQ(errno_of(vfs_link(root, task, {AT_FDCWD, "/link"}, {AT_FDCWD, "/followed"},
                              AT_SYMLINK_FOLLOW)),
            0);
  EXPECT_EQ(ino("/followed"), ino("/f"));
  warm_and_cold([&] {
    EXPECT_EQ(link("/d", "/x"), EPERM);
    EXPECT_EQ(link("/f", "/d"), EEXIST);
    EXPECT_EQ(link("/f", "/x/"), ENOENT);
    EXPECT_EQ(link("/nope", "/x"), ENOENT);
    EXPECT_EQ(link("/f", "/nope/x"), ENOENT);
    EXPECT_EQ(errno_of(vfs_link(user, task, {AT_FDCWD, "/f"}, {AT_FDCWD, "/x"}, 0)), EACCES);
    EXPECT_EQ(errno_of(vfs_link(root, task, {AT_FDCWD, "/f"}, {AT_FDCWD, "/x"}, 1)), EINVAL);
  });
}

TEST_F(NamesTest, unlink_and_rmdir_errors) {
  warm_and_cold([&] {
    EXPECT_EQ(unlink("/d"), EISDIR);
    EXPECT_EQ(unlink("/d/"), EISDIR);
    EXPECT_EQ(unlink("/f/"), ENOTDIR);
    EXPECT_EQ(unlink("/nope"), ENOENT);
    EXPECT_EQ(unlink("/nope/"), ENOENT);
    EXPECT_EQ(unlink("/"), EISDIR);
    EXPECT_EQ(unlink("/d/.."), EISDIR);
    EXPECT_EQ(rmdir("/f"), ENOTDIR);
    EXPECT_EQ(rmdir("/link"), ENOTDIR);
    EXPECT_EQ(rmdir("/full"), ENOTEMPTY);
    EXPECT_EQ(rmdir("/d/.."), ENOTEMPTY);
    EXPECT_EQ(rmdir("/d/."), EINVAL);
    EXPECT_EQ(rmdir("/"), EBUSY);
    EXPECT_EQ(rmdir("/nope"), ENOENT);
    EXPECT_EQ(errno_of(vfs_unlink(user, task, {AT_FDCWD, "/f"})), EACCES);
    EXPECT_EQ(errno_of(vfs_rmdir(user, task, {AT_FDCWD, "/d"})), EACCES);
  });
}

TEST_F(NamesTest, what_was_removed_is_gone_without_asking) {
  ASSERT_EQ(unlink("/f"), 0);
  ASSERT_EQ(rmdir("/d/"), 0);
  int before = ramfs->calls.total();
  EXPECT_EQ(stat("/f"), ENOENT);
  EXPECT_EQ(stat("/link"), ENOENT);
  EXPECT_EQ(stat("/d"), ENOENT);
  EXPECT_EQ(stat("/d/x"), ENOENT);
  EXPECT_EQ(ramfs->calls.total(), before);
}

TEST_F(NamesTest, unlinked_file_stays_readable_and_its_link_count_falls) {
  ASSERT_EQ(link("/f", "/g"), 0);
  int fd = open("/f", O_RDWR);
  ASSERT_EQ(write(fd, "data"), 4);
  ASSERT_EQ(unlink("/f"), 0);
  Kstat found;
  ASSERT_EQ(errno_of(vfs_fstat(root, task, fd, &found)), 0);
  EXPECT_EQ(found.nlink, 1u);
  ASSERT_EQ(unlink("/g"), 0);
  ASSERT_EQ(errno_of(vfs_fstat(root, task, fd, &found)), 0);
  EXPECT_EQ(found.nlink, 0u);
  EXPECT_EQ(pread(fd, 10, 0), "data");
  EXPECT_EQ(close(fd), 0);
}

TEST_F(NamesTest, sticky_directory_protects_what_others_own) {
  ASSERT_EQ(mkdir("/tmp"), 0);
  ASSERT_EQ(errno_of(vfs_chmod(root, task, {AT_FDCWD, "/tmp"}, 01777, 0)), 0);
  ASSERT_EQ(create("/tmp/roots"), 0);
  int fd = open_as(user, "/tmp/mine", O_CREAT | O_WRONLY);
  ASSERT_GE(fd, 0);
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(errno_of(vfs_unlink(user, task, {AT_FDCWD, "/tmp/roots"})), EPERM);
    EXPECT_EQ(errno_of(vfs_rename(user, task, {AT_FDCWD, "/tmp/roots"}, {AT_FDCWD, "/tmp/x"}, 0)),
              EPERM);
    ramfs->revoke_everything();
  }
  EXPECT_EQ(errno_of(vfs_unlink(user, task, {AT_FDCWD, "/tmp/mine"})), 0);
}

TEST_F(NamesTest, rename_moves_files_and_directories) {
  uint64_t file = ino("/f"), dir = ino("/full");
  ASSERT_EQ(rename("/f", "/d/g"), 0);
  EXPECT_EQ(ino("/d/g"), file);
  EXPECT_EQ(stat("/f"), ENOENT);
  ASSERT_EQ(rename("/full", "/d/full2/"), 0);
  EXPECT_EQ(ino("/d/full2"), dir);
  EXPECT_EQ(stat("/d/full2/x"), 0);
  EXPECT_EQ(stat("/full/x"), ENOENT);
  ASSERT_EQ(rename("/d/g", "/d/g"), 0);
  EXPECT_EQ(ino("/d/g"), file);
}

TEST_F(NamesTest, rename_replaces) {
  ASSERT_EQ(create("/g"), 0);
  uint64_t file = ino("/f");
  int old = open("/g", O_RDONLY);
  ASSERT_EQ(rename("/f", "/g"), 0);
  EXPECT_EQ(ino("/g"), file);
  Kstat replaced;
  ASSERT_EQ(errno_of(vfs_fstat(root, task, old, &replaced)), 0);
  EXPECT_EQ(replaced.nlink, 0u);
  uint64_t full = ino("/full");
  ASSERT_EQ(rename("/full", "/d"), 0);
  EXPECT_EQ(ino("/d"), full);
}

TEST_F(NamesTest, rename_errors) {
  ASSERT_EQ(link("/f", "/same"), 0);
  warm_and_cold([&] {
    EXPECT_EQ(rename("/nope", "/x"), ENOENT);
    EXPECT_EQ(rename("/f", "/nope/x"), ENOENT);
    EXPECT_EQ(rename("/f", "/d"), EISDIR);
    EXPECT_EQ(rename("/d", "/f"), ENOTDIR);
    EXPECT_EQ(rename("/d", "/full"), ENOTEMPTY);
    EXPECT_EQ(rename("/d", "/d/sub"), EINVAL);
    EXPECT_EQ(rename("/f/", "/x"), ENOTDIR);
    EXPECT_EQ(rename("/f", "/x/"), ENOTDIR);
    EXPECT_EQ(rename("/d/.", "/x"), EBUSY);
    EXPECT_EQ(rename("/f", "/d/.."), EBUSY);
    EXPECT_EQ(rename("/f", "/d", kNoReplace), EEXIST);
    EXPECT_EQ(rename("/f", "/", kNoReplace), EEXIST);
    EXPECT_EQ(rename("/f", "/x", kExchange), ENOENT);
    EXPECT_EQ(rename("/f", "/x", kNoReplace | kExchange), EINVAL);
    EXPECT_EQ(rename("/f", "/x", 4), EINVAL);
    EXPECT_EQ(rename("/f", "/same"), 0);  // one inode: nothing happens
    EXPECT_EQ(ino("/same"), ino("/f"));
    EXPECT_EQ(errno_of(vfs_rename(user, task, {AT_FDCWD, "/f"}, {AT_FDCWD, "/x"}, 0)), EACCES);
  });
}

TEST_F(NamesTest, rename_exchange) {
  uint64_t file = ino("/f"), dir = ino("/full");
  ASSERT_EQ(rename("/f", "/full", kExchange), 0);
  int before = ramfs->calls.total();
  EXPECT_EQ(ino("/f"), dir);
  EXPECT_EQ(ino("/full"), file);
  EXPECT_EQ(stat("/f/x"), 0);
  EXPECT_EQ(ramfs->calls.total(), before);
}

TEST_F(NamesTest, changes_are_known_without_asking_again) {
  int before = ramfs->calls.total();
  ASSERT_EQ(mkdir("/n"), 0);
  ASSERT_EQ(create("/n/a"), 0);
  ASSERT_EQ(rename("/n/a", "/n/b"), 0);
  EXPECT_EQ(ramfs->calls.total() - before, 3);
  EXPECT_EQ(stat("/n/b"), 0);
  EXPECT_EQ(stat("/n/a"), ENOENT);
  Kstat dir;
  EXPECT_EQ(stat("/n", &dir), 0);
  EXPECT_EQ(ramfs->calls.total() - before, 3);
}

TEST_F(NamesTest, while_a_change_is_under_way_the_cache_does_not_answer) {
  Path top = task.fs.root();
  uint64_t file = ino("/f");
  int before = ramfs->calls.total();
  {
    ChangeInFlight change({{top.dentry.get(), "f"}});
    EXPECT_EQ(ino("/f"), file);
    EXPECT_EQ(ramfs->calls.total() - before, 1);
    EXPECT_EQ(stat("/"), 0);
    EXPECT_EQ(ramfs->calls.total() - before, 2);
    EXPECT_EQ(stat("/d"), 0);  // another name is not touched
    EXPECT_EQ(ramfs->calls.total() - before, 2);
  }
  EXPECT_EQ(ino("/f"), file);
  EXPECT_EQ(stat("/"), 0);
  EXPECT_EQ(ramfs->calls.total() - before, 2);
}

TEST_F(NamesTest, read_only_mount_refuses_changes) {
  task.nsproxy->root()->write_count().set_read_only(true);
  EXPECT_EQ(mkdir("/x"), EROFS);
  EXPECT_EQ(mkdir("/d"), EEXIST);
  EXPECT_EQ(unlink("/f"), EROFS);
  EXPECT_EQ(rmdir("/d"), EROFS);
  EXPECT_EQ(rename("/f", "/g"), EROFS);
  EXPECT_EQ(symlink("t", "/x"), EROFS);
  EXPECT_EQ(link("/f", "/x"), EROFS);
  EXPECT_EQ(open("/f", O_WRONLY), -EROFS);
  EXPECT_EQ(open("/x", O_CREAT | O_RDONLY), -EROFS);
  EXPECT_EQ(errno_of(vfs_chmod(root, task, {AT_FDCWD, "/f"}, 0600, 0)), EROFS);
  EXPECT_EQ(errno_of(vfs_truncate(root, task, {AT_FDCWD, "/f"}, 0)), EROFS);
  EXPECT_EQ(errno_of(vfs_access(root, task, {AT_FDCWD, "/f"}, W_OK, 0)), EROFS);
  EXPECT_EQ(errno_of(vfs_setxattr(root, task, {AT_FDCWD, "/f"}, 0, "user.a", "v", 0)), EROFS);
  EXPECT_GE(open("/f", O_CREAT | O_RDONLY), 0);
  EXPECT_GE(open("/f", O_RDONLY), 0);
}

}  // namespace
}  // namespace myfs::fs
