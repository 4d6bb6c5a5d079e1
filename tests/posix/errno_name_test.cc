// The errnos of calls on names, directories and extended attributes.

#include <sys/xattr.h>

#include <vector>

#include "tests/posix/api_test.h"

namespace myfs::test {
namespace {

using Name = ApiTest;

TEST_F(Name, mkdir_EEXIST) {
  make_dir("d");
  make_file("f");
  EXPECT_EQ(-EEXIST, myfs_mkdir(task_, "d", 0755));
  EXPECT_EQ(-EEXIST, myfs_mkdir(task_, "d/", 0755));
  EXPECT_EQ(-EEXIST, myfs_mkdir(task_, "f", 0755));
  EXPECT_EQ(-EEXIST, myfs_mkdir(task_, "/", 0755));
  EXPECT_EQ(-EEXIST, myfs_mkdir(task_, "d/.", 0755));
}

TEST_F(Name, rmdir_ENOTEMPTY) {
  make_dir("d");
  make_file("d/f");
  EXPECT_EQ(-ENOTEMPTY, myfs_rmdir(task_, "d"));
  ASSERT_EQ(0, myfs_unlink(task_, "d/f"));
  EXPECT_EQ(0, myfs_rmdir(task_, "d"));
}

TEST_F(Name, rmdir_EBUSY) { EXPECT_EQ(-EBUSY, myfs_rmdir(task_, "/")); }

TEST_F(Name, rmdir_EINVAL) {
  make_dir("d");
  EXPECT_EQ(-EINVAL, myfs_rmdir(task_, "d/."));
  EXPECT_EQ(-ENOTEMPTY, myfs_rmdir(task_, "d/.."));
}

TEST_F(Name, unlink_EISDIR) {
  make_dir("d");
  EXPECT_EQ(-EISDIR, myfs_unlink(task_, "d"));
  EXPECT_EQ(-EISDIR, myfs_unlink(task_, "/"));
}

TEST_F(Name, rename_EEXIST) {
  make_file("a");
  make_file("b");
  EXPECT_EQ(-EEXIST, myfs_rename2(task_, "a", "b", 1));
  EXPECT_EQ(0, myfs_rename2(task_, "a", "c", 1));
}

TEST_F(Name, rename_ENOTEMPTY) {
  make_dir("a");
  make_dir("b");
  make_file("b/f");
  EXPECT_EQ(-ENOTEMPTY, myfs_rename(task_, "a", "b"));
  ASSERT_EQ(0, myfs_unlink(task_, "b/f"));
  EXPECT_EQ(0, myfs_rename(task_, "a", "b"));
}

TEST_F(Name, rename_EISDIR) {
  make_file("f");
  make_dir("d");
  EXPECT_EQ(-EISDIR, myfs_rename(task_, "f", "d"));
  EXPECT_EQ(-ENOTDIR, myfs_rename(task_, "d", "f"));
}

TEST_F(Name, rename_EINVAL) {
  make_dir("a");
  make_dir("a/b");
  make_dir("a/b/c");
  EXPECT_EQ(-EINVAL, myfs_rename(task_, "a", "a/x"));
  EXPECT_EQ(-EINVAL, myfs_rename(task_, "a", "a/b/c/x"));
  EXPECT_EQ(-EBUSY, myfs_rename(task_, "a/.", "x"));
}

TEST_F(Name, rename_EBUSY) {
  EXPECT_EQ(-EBUSY, myfs_rename(task_, "/", "x"));
  make_dir("d");
  EXPECT_EQ(-EBUSY, myfs_rename(task_, "d", "/"));
  EXPECT_EQ(-EBUSY, myfs_rename(task_, "d", ".."));
}

TEST_F(Name, rename2_EINVAL) {
  make_file("a");
  EXPECT_EQ(-EINVAL, myfs_rename2(task_, "a", "b", 3));
  EXPECT_EQ(-EINVAL, myfs_rename2(task_, "a", "b", 64));
}

// Two mounts of one server are two file systems to the name space.
TEST_F(Name, rename_EXDEV) {
  make_dir("m");
  make_file("a");
  ASSERT_EQ(0, myfs_mount(task_, server_->url().c_str(), "m", nullptr));
  EXPECT_EQ(-EXDEV, myfs_rename(task_, "a", "m/a"));
  ASSERT_EQ(0, myfs_umount(task_, "m", 0));
}

TEST_F(Name, link_EXDEV) {
  make_dir("m");
  make_file("a");
  ASSERT_EQ(0, myfs_mount(task_, server_->url().c_str(), "m", nullptr));
  EXPECT_EQ(-EXDEV, myfs_link(task_, "a", "m/a"));
  ASSERT_EQ(0, myfs_umount(task_, "m", 0));
}

TEST_F(Name, link_EEXIST) {
  make_file("a");
  make_file("b");
  EXPECT_EQ(-EEXIST, myfs_link(task_, "a", "b"));
}

TEST_F(Name, link_EPERM) {
  make_dir("d");
  EXPECT_EQ(-EPERM, myfs_link(task_, "d", "e"));
}

// Of several errors the kernel's first, also where nothing is cached.
TEST_F(Name, TheFirstOfSeveralErrors) {
  make_dir("d");
  make_file("f");
  Client other(server_->url());
  const std::string d = home() + "/d", f = home() + "/f", missing = home() + "/missing";
  EXPECT_EQ(-EEXIST, myfs_link(other, d.c_str(), f.c_str()));
  EXPECT_EQ(-EPERM, myfs_link(other, d.c_str(), missing.c_str()));
  Client fresh(server_->url());
  EXPECT_EQ(-ENOENT, myfs_rename2(fresh, missing.c_str(), f.c_str(), 1));
  EXPECT_EQ(-EEXIST, myfs_rename2(fresh, (f + "/").c_str(), d.c_str(), 1));
  Client third(server_->url());
  EXPECT_EQ(-EEXIST, myfs_mknod(third, (f + "/").c_str(), S_IFREG | 0644, 0));
  EXPECT_EQ(-ENOENT, myfs_mknod(third, (missing + "/").c_str(), S_IFREG | 0644, 0));
}

TEST_F(Name, symlink_EEXIST) {
  make_file("a");
  EXPECT_EQ(-EEXIST, myfs_symlink(task_, "x", "a"));
}

TEST_F(Name, symlink_ENOENT) {
  EXPECT_EQ(-ENOENT, myfs_symlink(task_, "", "a"));
  EXPECT_EQ(-ENOENT, myfs_symlink(task_, "x", ""));
}

TEST_F(Name, readlink_EINVAL) {
  make_file("a");
  char buffer[8];
  EXPECT_EQ(-EINVAL, myfs_readlink(task_, "a", buffer, sizeof buffer));
  ASSERT_EQ(0, myfs_symlink(task_, "0123456789", "l"));
  EXPECT_EQ(-EINVAL, myfs_readlink(task_, "l", buffer, 0));
  EXPECT_EQ(8, myfs_readlink(task_, "l", buffer, sizeof buffer));
}

TEST_F(Name, mknod_EEXIST) {
  make_file("a");
  EXPECT_EQ(-EEXIST, myfs_mknod(task_, "a", S_IFIFO | 0644, 0));
}

TEST_F(Name, mknod_EINVAL) {
  EXPECT_EQ(-EINVAL, myfs_mknod(task_, "x", S_IFLNK | 0644, 0));
  EXPECT_EQ(-EPERM, myfs_mknod(task_, "x", S_IFDIR | 0755, 0));
}

TEST_F(Name, mknod_EPERM) {
  make_dir("open", 0777);
  EXPECT_EQ(-EPERM, myfs_mknod_x(task_, user(), "open/dev", S_IFCHR | 0644, 0x0103));
  EXPECT_EQ(0, myfs_mknod_x(task_, user(), "open/fifo", S_IFIFO | 0644, 0));
}

TEST_F(Name, getcwd_ERANGE) {
  char buffer[4];
  EXPECT_EQ(-ERANGE, myfs_getcwd(task_, buffer, sizeof buffer));
}

TEST_F(Name, getcwd_EINVAL) { EXPECT_EQ(-EINVAL, myfs_getcwd(task_, nullptr, 0)); }

TEST_F(Name, getcwd_ENOENT) {
  make_dir("d");
  ASSERT_EQ(0, myfs_chdir(task_, "d"));
  ASSERT_EQ(0, myfs_rmdir(task_, "../d"));
  char buffer[256];
  EXPECT_EQ(-ENOENT, myfs_getcwd(task_, buffer, sizeof buffer));
  EXPECT_EQ(-ENOENT, myfs_open(task_, "new", O_WRONLY | O_CREAT, 0644));
  ASSERT_EQ(0, myfs_chdir(task_, "/"));
}

TEST_F(Name, fchdir_ENOTDIR) {
  make_file("f");
  int fd = myfs_open(task_, "f", O_RDONLY, 0);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(-ENOTDIR, myfs_fchdir(task_, fd));
  EXPECT_EQ(0, myfs_close(task_, fd));
}

TEST_F(Name, fchdir_EACCES) {
  make_dir("d", 0755);
  myfs_task* other = nullptr;
  uid_t uid = ::geteuid() == 0 ? 1000 : ::geteuid();
  myfs_cred cred{sizeof cred, uid, uid, nullptr, 0};
  myfs_mount_options options{sizeof options, nullptr, &cred};
  ASSERT_EQ(0, myfs_open_url(server_->url().c_str(), &options, &other));
  int fd = myfs_open(other, "/fchdir_EACCES/d", O_RDONLY | O_DIRECTORY, 0);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(0, myfs_chmod(task_, "d", 0600));
  EXPECT_EQ(-EACCES, myfs_fchdir(other, fd));
  EXPECT_EQ(0, myfs_close(other, fd));
  EXPECT_EQ(0, myfs_task_destroy(other));
}

TEST_F(Name, opendir_ENOTDIR) {
  make_file("f");
  myfs_dir* dir = nullptr;
  EXPECT_EQ(-ENOTDIR, myfs_opendir(task_, "f", &dir));
}

TEST_F(Name, readdir_ENOENT) {
  make_dir("d");
  myfs_dir* dir = nullptr;
  ASSERT_EQ(0, myfs_opendir(task_, "d", &dir));
  ASSERT_EQ(0, myfs_rmdir(task_, "d"));
  myfs_dirent entry;
  EXPECT_EQ(-ENOENT, myfs_readdir(dir, &entry));
  EXPECT_EQ(0, myfs_closedir(dir));
}

TEST_F(Name, seekdir_EINVAL) {
  myfs_dir* dir = nullptr;
  ASSERT_EQ(0, myfs_opendir(task_, ".", &dir));
  EXPECT_EQ(-EINVAL, myfs_seekdir(dir, -1));
  EXPECT_EQ(0, myfs_seekdir(dir, 0));
  EXPECT_EQ(0, myfs_closedir(dir));
}

TEST_F(Name, getxattr_ENODATA) {
  make_file("f");
  char value[8];
  EXPECT_EQ(-ENODATA, myfs_getxattr(task_, "f", "user.none", value, sizeof value, 0));
}

TEST_F(Name, getxattr_ERANGE) {
  make_file("f");
  ASSERT_EQ(0, myfs_setxattr(task_, "f", "user.a", "0123456789", 10, 0, 0)) << last_message();
  char value[10];
  EXPECT_EQ(10, myfs_getxattr(task_, "f", "user.a", nullptr, 0, 0));
  EXPECT_EQ(-ERANGE, myfs_getxattr(task_, "f", "user.a", value, 9, 0));
  EXPECT_EQ(10, myfs_getxattr(task_, "f", "user.a", value, 10, 0));
}

TEST_F(Name, getxattr_EOPNOTSUPP) {
  make_file("f");
  char value[8];
  EXPECT_EQ(-EOPNOTSUPP, myfs_getxattr(task_, "f", "other.a", value, sizeof value, 0));
}

TEST_F(Name, setxattr_EOPNOTSUPP) {
  make_file("f");
  EXPECT_EQ(-EOPNOTSUPP, myfs_setxattr(task_, "f", "other.a", "x", 1, 0, 0));
}

TEST_F(Name, removexattr_EOPNOTSUPP) {
  make_file("f");
  EXPECT_EQ(-EOPNOTSUPP, myfs_removexattr(task_, "f", "other.a", 0));
}

TEST_F(Name, setxattr_E2BIG) {
  make_file("f");
  std::vector<char> big(65537);
  EXPECT_EQ(-E2BIG, myfs_setxattr(task_, "f", "user.a", big.data(), big.size(), 0, 0));
  EXPECT_EQ(0, myfs_setxattr(task_, "f", "user.a", big.data(), big.size() - 1, 0, 0));
}

TEST_F(Name, setxattr_EEXIST) {
  make_file("f");
  ASSERT_EQ(0, myfs_setxattr(task_, "f", "user.a", "1", 1, XATTR_CREATE, 0));
  EXPECT_EQ(-EEXIST, myfs_setxattr(task_, "f", "user.a", "2", 1, XATTR_CREATE, 0));
}

TEST_F(Name, setxattr_ENODATA) {
  make_file("f");
  EXPECT_EQ(-ENODATA, myfs_setxattr(task_, "f", "user.a", "1", 1, XATTR_REPLACE, 0));
}

TEST_F(Name, setxattr_EINVAL) {
  make_file("f");
  EXPECT_EQ(-EINVAL, myfs_setxattr(task_, "f", "user.a", "1", 1, 8, 0));
  EXPECT_EQ(-EINVAL, myfs_setxattr(task_, "f", nullptr, "1", 1, 0, 0));
}

TEST_F(Name, removexattr_ENODATA) {
  make_file("f");
  EXPECT_EQ(-ENODATA, myfs_removexattr(task_, "f", "user.a", 0));
  ASSERT_EQ(0, myfs_setxattr(task_, "f", "user.a", "1", 1, 0, 0));
  EXPECT_EQ(0, myfs_removexattr(task_, "f", "user.a", 0));
}

TEST_F(Name, listxattr_ERANGE) {
  make_file("f");
  ASSERT_EQ(0, myfs_setxattr(task_, "f", "user.abc", "1", 1, 0, 0));
  char list[16];
  EXPECT_EQ(9, myfs_listxattr(task_, "f", nullptr, 0, 0));
  EXPECT_EQ(-ERANGE, myfs_listxattr(task_, "f", list, 8, 0));
  ASSERT_EQ(9, myfs_listxattr(task_, "f", list, sizeof list, 0));
  EXPECT_STREQ("user.abc", list);
}

}  // namespace
}  // namespace myfs::test
