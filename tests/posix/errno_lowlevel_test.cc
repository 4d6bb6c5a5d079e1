// The errnos of the calls by inode.

#include <linux/falloc.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/posix/lowlevel_test.h"

namespace myfs::test {
namespace {

const std::string kLongName(256, 'n');

TEST_F(LowLevel, ll_task_EINVAL) {
  myfs_entry entry = new_entry();
  struct stat st;
  EXPECT_EQ(-EINVAL, myfs_ll_lookup(nullptr, nullptr, "x", &entry));
  EXPECT_EQ(-EINVAL, myfs_ll_lookup(dir_, nullptr, nullptr, &entry));
  EXPECT_EQ(-EINVAL, myfs_ll_lookup(dir_, nullptr, "x", nullptr));
  entry.size = 1;
  EXPECT_EQ(-EINVAL, myfs_ll_lookup(dir_, nullptr, "x", &entry));
  EXPECT_EQ(-EINVAL, myfs_ll_getattr(nullptr, nullptr, nullptr, &st, nullptr));
  EXPECT_EQ(-EINVAL, myfs_ll_getattr(dir_, nullptr, nullptr, nullptr, nullptr));
  EXPECT_EQ(-EINVAL, myfs_ll_open(dir_, nullptr, O_RDONLY, nullptr));
  EXPECT_EQ(-EINVAL, myfs_ll_statfs(dir_, nullptr, nullptr));
  EXPECT_EQ(-EINVAL, myfs_ll_flush(nullptr, nullptr));
  EXPECT_EQ(0, myfs_ll_release(nullptr));
}

TEST_F(LowLevel, ll_inode_ENOTDIR) {
  myfs_inode* f = file("f");
  myfs_entry entry = new_entry();
  EXPECT_EQ(-ENOTDIR, look_up(f, "x"));
  EXPECT_EQ(-ENOTDIR, myfs_ll_mkdir(f, nullptr, "x", 0755, 0, &entry));
  EXPECT_EQ(-ENOTDIR, myfs_ll_unlink(f, nullptr, "x"));
  EXPECT_EQ(-ENOTDIR, myfs_ll_rename(dir_, nullptr, "f", f, "x", 0));
}

TEST_F(LowLevel, ll_inode_ESTALE) {
  myfs_inode* f = file("f");
  ASSERT_EQ(0, myfs_ll_unlink(dir_, nullptr, "f"));
  restart_server();
  myfs_file* opened;
  EXPECT_EQ(-ESTALE, set(f, MYFS_SET_MODE, 0600));
  EXPECT_EQ(-ESTALE, myfs_ll_open(f, nullptr, O_RDONLY, &opened));
}

TEST_F(LowLevel, ll_name_ENOENT) {
  EXPECT_EQ(-ENOENT, look_up(dir_, "missing"));
  EXPECT_EQ(-ENOENT, look_up(dir_, ""));
  EXPECT_EQ(-ENOENT, myfs_ll_unlink(dir_, nullptr, "missing"));
  EXPECT_EQ(-ENOENT, myfs_ll_rename(dir_, nullptr, "missing", dir_, "x", 0));
}

TEST_F(LowLevel, ll_name_EACCES) {
  myfs_inode* closed = directory("closed", 0700);
  EXPECT_EQ(-EACCES, look_up(closed, "x", user()));
  EXPECT_EQ(-EACCES, myfs_ll_unlink(closed, user(), "x"));
}

TEST_F(LowLevel, ll_name_ENAMETOOLONG) {
  myfs_entry entry = new_entry();
  EXPECT_EQ(-ENAMETOOLONG, look_up(dir_, kLongName.c_str()));
  EXPECT_EQ(-ENAMETOOLONG, myfs_ll_mkdir(dir_, nullptr, kLongName.c_str(), 0755, 0, &entry));
  EXPECT_EQ(0, myfs_ll_mkdir(dir_, nullptr, kLongName.c_str() + 1, 0755, 0, &entry));
}

TEST_F(LowLevel, ll_name_EINVAL) {
  directory("d");
  EXPECT_EQ(-EINVAL, look_up(dir_, "d/x"));
  EXPECT_EQ(-EINVAL, look_up(dir_, "/"));
  EXPECT_EQ(-EINVAL, myfs_ll_rmdir(dir_, nullptr, "d/"));
}

TEST_F(LowLevel, ll_change_EROFS) {
  file("f");
  Client reader(server_->url(), "ro");
  myfs_entry entry = new_entry(), made = new_entry();
  ASSERT_EQ(0, myfs_ll_open_path(reader, nullptr, home().c_str(), &entry));
  myfs_entry f = new_entry();
  ASSERT_EQ(0, myfs_ll_lookup(entry.inode, nullptr, "f", &f));
  EXPECT_EQ(-EROFS, myfs_ll_mkdir(entry.inode, nullptr, "d", 0755, 0, &made));
  EXPECT_EQ(-EROFS, myfs_ll_unlink(entry.inode, nullptr, "f"));
  EXPECT_EQ(-EROFS, set(f.inode, MYFS_SET_MODE, 0600));
  EXPECT_EQ(-EROFS, myfs_ll_setxattr(f.inode, nullptr, "user.a", "b", 1, 0));
  EXPECT_EQ(-EROFS, myfs_ll_removexattr(f.inode, nullptr, "user.a"));
  myfs_file* opened;
  EXPECT_EQ(-EROFS, myfs_ll_open(f.inode, nullptr, O_RDWR, &opened));
  EXPECT_EQ(-EROFS, myfs_ll_create(entry.inode, nullptr, "new", O_RDWR, 0644, 0, &made, &opened));
}

TEST_F(LowLevel, ll_access_EROFS) {
  file("f", 0666);
  Client reader(server_->url(), "ro");
  myfs_entry entry = new_entry();
  ASSERT_EQ(0, myfs_ll_open_path(reader, nullptr, (home() + "/f").c_str(), &entry));
  EXPECT_EQ(-EROFS, myfs_ll_access(entry.inode, nullptr, W_OK));
  EXPECT_EQ(0, myfs_ll_access(entry.inode, nullptr, R_OK));
}

// --- look-ups

TEST_F(LowLevel, ll_open_path_ENOENT) {
  myfs_entry entry = new_entry();
  EXPECT_EQ(-ENOENT, myfs_ll_open_path(task_, nullptr, "missing", &entry));
}

TEST_F(LowLevel, ll_open_path_ENOTDIR) {
  make_file("f");
  myfs_entry entry = new_entry();
  EXPECT_EQ(-ENOTDIR, myfs_ll_open_path(task_, nullptr, "f/x", &entry));
}

TEST_F(LowLevel, ll_open_path_EACCES) {
  make_dir("closed", 0700);
  myfs_entry entry = new_entry();
  EXPECT_EQ(-EACCES, myfs_ll_open_path(task_, user(), "closed/x", &entry));
}

TEST_F(LowLevel, ll_open_path_ELOOP) {
  ASSERT_EQ(0, myfs_symlink(task_, "l", "l"));
  myfs_entry entry = new_entry();
  EXPECT_EQ(-ELOOP, myfs_ll_open_path(task_, nullptr, "l", &entry));
}

TEST_F(LowLevel, ll_open_path_ENAMETOOLONG) {
  myfs_entry entry = new_entry();
  EXPECT_EQ(-ENAMETOOLONG, myfs_ll_open_path(task_, nullptr, kLongName.c_str(), &entry));
}

TEST_F(LowLevel, ll_forget_EINVAL) {
  myfs_inode* f = file("f");
  EXPECT_EQ(f, child(dir_, "f"));
  EXPECT_EQ(-EINVAL, myfs_ll_forget(f, 3));
  EXPECT_EQ(0, myfs_ll_forget(f, 1));
  EXPECT_EQ(-EINVAL, myfs_ll_forget(f, 2));
  EXPECT_EQ(0, myfs_ll_forget(f, 1));
}

// --- attributes

TEST_F(LowLevel, ll_setattr_EACCES) {
  EXPECT_EQ(-EACCES, set(file("f"), MYFS_SET_SIZE, 0, 5, user()));
}

TEST_F(LowLevel, ll_setattr_EFBIG) {
  EXPECT_EQ(-EFBIG, set(file("f"), MYFS_SET_SIZE, 0, (1LL << 54)));
}

TEST_F(LowLevel, ll_setattr_EISDIR) {
  EXPECT_EQ(-EISDIR, set(directory("d"), MYFS_SET_SIZE, 0, 5));
}

TEST_F(LowLevel, ll_setattr_EINVAL) {
  myfs_inode* f = file("f");
  EXPECT_EQ(-EINVAL, set(f, 512));
  EXPECT_EQ(-EINVAL, set(f, MYFS_SET_SIZE, 0, -1));
  EXPECT_EQ(-EINVAL, set(file("fifo", S_IFIFO | 0644), MYFS_SET_SIZE, 0, 5));
  EXPECT_EQ(-EINVAL, myfs_ll_setattr(f, nullptr, nullptr, nullptr, nullptr));
  myfs_setattr attr{};
  attr.size = sizeof attr;
  attr.valid = MYFS_SET_MTIME;
  attr.mtime.tv_nsec = 1'000'000'000;
  EXPECT_EQ(-EINVAL, myfs_ll_setattr(f, nullptr, nullptr, &attr, nullptr));
  attr.size = 1;
  EXPECT_EQ(-EINVAL, myfs_ll_setattr(f, nullptr, nullptr, &attr, nullptr));
  myfs_file* reader = open_inode(f, O_RDONLY);
  attr.size = sizeof attr;
  attr.valid = MYFS_SET_SIZE;
  attr.length = 5;
  EXPECT_EQ(-EINVAL, myfs_ll_setattr(f, nullptr, reader, &attr, nullptr));
}

TEST_F(LowLevel, ll_setattr_EOPNOTSUPP) {
  myfs_entry entry = new_entry();
  ASSERT_EQ(0, myfs_ll_symlink(dir_, nullptr, "x", "l", &entry));
  EXPECT_EQ(-EOPNOTSUPP, set(entry.inode, MYFS_SET_MODE, 0600));
}

TEST_F(LowLevel, ll_setattr_EPERM) {
  EXPECT_EQ(-EPERM, set(file("f"), MYFS_SET_MODE, 0777, 0, user()));
  EXPECT_EQ(-EPERM, set(child(dir_, "f"), MYFS_SET_UID, 0, 0, user()));
}

TEST_F(LowLevel, ll_access_EACCES) {
  myfs_inode* f = file("f", 0640);
  EXPECT_EQ(-EACCES, myfs_ll_access(f, user(), R_OK));
  EXPECT_EQ(0, myfs_ll_access(f, user(), F_OK));
  EXPECT_EQ(0, myfs_ll_access(f, nullptr, R_OK | W_OK));
}

TEST_F(LowLevel, ll_access_EINVAL) { EXPECT_EQ(-EINVAL, myfs_ll_access(dir_, nullptr, 8)); }

TEST_F(LowLevel, ll_readlink_EINVAL) {
  char target[8];
  EXPECT_EQ(-EINVAL, myfs_ll_readlink(file("f"), nullptr, target, sizeof target));
  myfs_entry entry = new_entry();
  ASSERT_EQ(0, myfs_ll_symlink(dir_, nullptr, "x", "l", &entry));
  EXPECT_EQ(-EINVAL, myfs_ll_readlink(entry.inode, nullptr, target, 0));
  EXPECT_EQ(1, myfs_ll_readlink(entry.inode, nullptr, target, sizeof target));
}

TEST_F(LowLevel, ll_getxattr_ENODATA) {
  EXPECT_EQ(-ENODATA, myfs_ll_getxattr(file("f"), nullptr, "user.a", nullptr, 0));
}

TEST_F(LowLevel, ll_getxattr_ERANGE) {
  myfs_inode* f = file("f");
  ASSERT_EQ(0, myfs_ll_setxattr(f, nullptr, "user.a", "value", 5, 0));
  char value[4];
  EXPECT_EQ(-ERANGE, myfs_ll_getxattr(f, nullptr, "user.a", value, sizeof value));
  EXPECT_EQ(5, myfs_ll_getxattr(f, nullptr, "user.a", nullptr, 0));
}

TEST_F(LowLevel, ll_getxattr_EOPNOTSUPP) {
  EXPECT_EQ(-EOPNOTSUPP, myfs_ll_getxattr(dir_, nullptr, "other.a", nullptr, 0));
}

TEST_F(LowLevel, ll_setxattr_EEXIST) {
  ASSERT_EQ(0, myfs_ll_setxattr(dir_, nullptr, "user.a", "1", 1, XATTR_CREATE));
  EXPECT_EQ(-EEXIST, myfs_ll_setxattr(dir_, nullptr, "user.a", "1", 1, XATTR_CREATE));
}

TEST_F(LowLevel, ll_setxattr_ENODATA) {
  EXPECT_EQ(-ENODATA, myfs_ll_setxattr(dir_, nullptr, "user.a", "1", 1, XATTR_REPLACE));
}

TEST_F(LowLevel, ll_setxattr_E2BIG) {
  const std::string value(65537, 'v');
  EXPECT_EQ(-E2BIG, myfs_ll_setxattr(dir_, nullptr, "user.a", value.data(), value.size(), 0));
}

TEST_F(LowLevel, ll_setxattr_EOPNOTSUPP) {
  EXPECT_EQ(-EOPNOTSUPP, myfs_ll_setxattr(dir_, nullptr, "other.a", "1", 1, 0));
}

TEST_F(LowLevel, ll_setxattr_EINVAL) {
  EXPECT_EQ(-EINVAL, myfs_ll_setxattr(dir_, nullptr, "user.a", "1", 1, 4));
  EXPECT_EQ(-EINVAL, myfs_ll_setxattr(dir_, nullptr, nullptr, "1", 1, 0));
  EXPECT_EQ(-EINVAL, myfs_ll_setxattr(dir_, nullptr, "user.a", nullptr, 1, 0));
}

TEST_F(LowLevel, ll_listxattr_ERANGE) {
  ASSERT_EQ(0, myfs_ll_setxattr(dir_, nullptr, "user.a", "1", 1, 0));
  char list[4];
  EXPECT_EQ(-ERANGE, myfs_ll_listxattr(dir_, nullptr, list, sizeof list));
  EXPECT_EQ(7, myfs_ll_listxattr(dir_, nullptr, nullptr, 0));
}

TEST_F(LowLevel, ll_removexattr_ENODATA) {
  EXPECT_EQ(-ENODATA, myfs_ll_removexattr(dir_, nullptr, "user.a"));
}

TEST_F(LowLevel, ll_removexattr_EOPNOTSUPP) {
  EXPECT_EQ(-EOPNOTSUPP, myfs_ll_removexattr(dir_, nullptr, "other.a"));
}

// --- names

TEST_F(LowLevel, ll_mknod_EEXIST) {
  file("f");
  myfs_entry entry = new_entry();
  EXPECT_EQ(-EEXIST, myfs_ll_mknod(dir_, nullptr, "f", 0644, 0, 0, &entry));
  EXPECT_EQ(-EEXIST, myfs_ll_mknod(dir_, nullptr, ".", 0644, 0, 0, &entry));
}

TEST_F(LowLevel, ll_mknod_EINVAL) {
  myfs_entry entry = new_entry();
  EXPECT_EQ(-EINVAL, myfs_ll_mknod(dir_, nullptr, "l", S_IFLNK | 0644, 0, 0, &entry));
}

TEST_F(LowLevel, ll_mknod_EPERM) {
  myfs_inode* open_to_all = directory("d", 0777);
  ASSERT_EQ(0, set(open_to_all, MYFS_SET_MODE, 0777));
  myfs_entry entry = new_entry();
  EXPECT_EQ(-EPERM,
            myfs_ll_mknod(open_to_all, user(), "c", S_IFCHR | 0644, 0, makedev(1, 3), &entry));
  EXPECT_EQ(-EPERM, myfs_ll_mknod(open_to_all, nullptr, "d", S_IFDIR | 0755, 0, 0, &entry));
}

TEST_F(LowLevel, ll_mkdir_EEXIST) {
  directory("d");
  myfs_entry entry = new_entry();
  EXPECT_EQ(-EEXIST, myfs_ll_mkdir(dir_, nullptr, "d", 0755, 0, &entry));
  EXPECT_EQ(-EEXIST, myfs_ll_mkdir(dir_, nullptr, "..", 0755, 0, &entry));
}

TEST_F(LowLevel, ll_symlink_EEXIST) {
  file("f");
  myfs_entry entry = new_entry();
  EXPECT_EQ(-EEXIST, myfs_ll_symlink(dir_, nullptr, "x", "f", &entry));
}

TEST_F(LowLevel, ll_symlink_ENOENT) {
  myfs_entry entry = new_entry();
  EXPECT_EQ(-ENOENT, myfs_ll_symlink(dir_, nullptr, "", "l", &entry));
}

TEST_F(LowLevel, ll_symlink_ENAMETOOLONG) {
  myfs_entry entry = new_entry();
  const std::string target(4096, 't');
  EXPECT_EQ(-ENAMETOOLONG, myfs_ll_symlink(dir_, nullptr, target.c_str(), "l", &entry));
  EXPECT_EQ(0, myfs_ll_symlink(dir_, nullptr, target.c_str() + 1, "l", &entry));
}

TEST_F(LowLevel, ll_link_EEXIST) {
  myfs_inode* f = file("f");
  file("g");
  myfs_entry entry = new_entry();
  EXPECT_EQ(-EEXIST, myfs_ll_link(f, nullptr, dir_, "g", &entry));
}

TEST_F(LowLevel, ll_link_EPERM) {
  myfs_entry entry = new_entry();
  EXPECT_EQ(-EPERM, myfs_ll_link(directory("d"), nullptr, dir_, "e", &entry));
}

class LowLevelMounts : public LowLevel {
 protected:
  void SetUp() override {
    LowLevel::SetUp();
    ASSERT_EQ(0, myfs_mkdir(task_, "mnt", 0755));
    ASSERT_EQ(0, myfs_mount(task_, server_->url().c_str(), (home() + "/mnt").c_str(), nullptr))
        << last_message();
    const std::string below = "mnt/below_" + home().substr(1);  // the same server for all
    ASSERT_EQ(0, myfs_mkdir(task_, below.c_str(), 0755));
  }
};

TEST_F(LowLevelMounts, ll_link_EXDEV) {
  myfs_entry entry = new_entry();
  EXPECT_EQ(-EXDEV, myfs_ll_link(file("f"), nullptr, child(dir_, "mnt"), "g", &entry));
}

TEST_F(LowLevelMounts, ll_rename_EXDEV) {
  file("f");
  EXPECT_EQ(-EXDEV, myfs_ll_rename(dir_, nullptr, "f", child(dir_, "mnt"), "g", 0));
}

TEST_F(LowLevelMounts, ll_copy_file_range_EXDEV) {
  make_file("f");
  make_file("mnt/f");
  myfs_file* from = open_inode(child(dir_, "f"));
  myfs_file* to = open_inode(child(child(dir_, "mnt"), "f"));
  EXPECT_EQ(-EXDEV, myfs_ll_copy_file_range(from, nullptr, 0, to, 0, 1));
}

TEST_F(LowLevelMounts, ll_rename_EBUSY) {
  EXPECT_EQ(-EBUSY, myfs_ll_rename(dir_, nullptr, "mnt", dir_, "other", 0));
  EXPECT_EQ(-EBUSY, myfs_ll_rename(dir_, nullptr, ".", dir_, "other", 0));
}

TEST_F(LowLevelMounts, ll_rmdir_EBUSY) { EXPECT_EQ(-EBUSY, myfs_ll_rmdir(dir_, nullptr, "mnt")); }

TEST_F(LowLevelMounts, the_root_of_a_mount_is_crossed_both_ways) {
  myfs_inode* mnt = child(dir_, "mnt");
  myfs_inode* below = child(mnt, ("below_" + home().substr(1)).c_str());
  EXPECT_EQ(mnt, child(below, ".."));
  EXPECT_EQ(dir_, child(mnt, ".."));
}

TEST_F(LowLevel, ll_unlink_EISDIR) {
  directory("d");
  EXPECT_EQ(-EISDIR, myfs_ll_unlink(dir_, nullptr, "d"));
  EXPECT_EQ(-EISDIR, myfs_ll_unlink(dir_, nullptr, "."));
}

TEST_F(LowLevel, ll_rmdir_ENOTEMPTY) {
  directory("d");
  make_file("d/f");
  EXPECT_EQ(-ENOTEMPTY, myfs_ll_rmdir(dir_, nullptr, "d"));
  EXPECT_EQ(-ENOTEMPTY, myfs_ll_rmdir(dir_, nullptr, ".."));
}

TEST_F(LowLevel, ll_rmdir_EINVAL) { EXPECT_EQ(-EINVAL, myfs_ll_rmdir(dir_, nullptr, ".")); }

TEST_F(LowLevel, ll_rename_EEXIST) {
  file("f");
  file("g");
  EXPECT_EQ(-EEXIST, myfs_ll_rename(dir_, nullptr, "f", dir_, "g", 1));
}

TEST_F(LowLevel, ll_rename_ENOTEMPTY) {
  directory("d");
  directory("e");
  make_file("e/f");
  EXPECT_EQ(-ENOTEMPTY, myfs_ll_rename(dir_, nullptr, "d", dir_, "e", 0));
}

TEST_F(LowLevel, ll_rename_EISDIR) {
  file("f");
  directory("d");
  EXPECT_EQ(-EISDIR, myfs_ll_rename(dir_, nullptr, "f", dir_, "d", 0));
}

TEST_F(LowLevel, ll_rename_EINVAL) {
  directory("d");
  myfs_inode* d = child(dir_, "d");
  EXPECT_EQ(-EINVAL, myfs_ll_rename(dir_, nullptr, "d", d, "x", 0));
  EXPECT_EQ(-EINVAL, myfs_ll_rename(dir_, nullptr, "d", dir_, "x", 3));
  EXPECT_EQ(-EINVAL, myfs_ll_rename(dir_, nullptr, "d", nullptr, "x", 0));
}

// --- open files

TEST_F(LowLevel, ll_open_EACCES) {
  myfs_file* opened;
  EXPECT_EQ(-EACCES, myfs_ll_open(file("f", 0600), user(), O_RDONLY, &opened));
}

TEST_F(LowLevel, ll_open_EINVAL) {
  myfs_file* opened;
  EXPECT_EQ(-EINVAL, myfs_ll_open(file("f", 0755), nullptr, O_RDWR | MYFS_O_EXEC, &opened));
}

TEST_F(LowLevel, ll_open_EISDIR) {
  myfs_file* opened;
  EXPECT_EQ(-EISDIR, myfs_ll_open(directory("d"), nullptr, O_RDWR, &opened));
}

TEST_F(LowLevel, ll_open_ELOOP) {
  myfs_entry entry = new_entry();
  ASSERT_EQ(0, myfs_ll_symlink(dir_, nullptr, "x", "l", &entry));
  myfs_file* opened;
  EXPECT_EQ(-ELOOP, myfs_ll_open(entry.inode, nullptr, O_RDONLY, &opened));
}

TEST_F(LowLevel, ll_open_ENXIO) {
  myfs_file* opened;
  EXPECT_EQ(-ENXIO, myfs_ll_open(file("fifo", S_IFIFO | 0644), nullptr, O_RDONLY, &opened));
}

TEST_F(LowLevel, ll_open_ENOTDIR) {
  myfs_file* opened;
  EXPECT_EQ(-ENOTDIR, myfs_ll_open(file("f"), nullptr, O_RDONLY | O_DIRECTORY, &opened));
}

TEST_F(LowLevel, ll_create_EEXIST) {
  file("f");
  myfs_entry entry = new_entry();
  myfs_file* opened;
  EXPECT_EQ(-EEXIST, myfs_ll_create(dir_, nullptr, "f", O_RDWR | O_EXCL, 0644, 0, &entry, &opened));
}

TEST_F(LowLevel, ll_create_EISDIR) {
  directory("d");
  myfs_entry entry = new_entry();
  myfs_file* opened;
  EXPECT_EQ(-EISDIR, myfs_ll_create(dir_, nullptr, "d", O_RDWR, 0644, 0, &entry, &opened));
}

TEST_F(LowLevel, ll_create_ELOOP) {
  myfs_entry entry = new_entry();
  ASSERT_EQ(0, myfs_ll_symlink(dir_, nullptr, "x", "l", &entry));
  myfs_file* opened;
  EXPECT_EQ(-ELOOP, myfs_ll_create(dir_, nullptr, "l", O_RDWR, 0644, 0, &entry, &opened));
}

TEST_F(LowLevel, ll_create_ENXIO) {
  file("fifo", S_IFIFO | 0644);
  myfs_entry entry = new_entry();
  myfs_file* opened;
  EXPECT_EQ(-ENXIO, myfs_ll_create(dir_, nullptr, "fifo", O_RDWR, 0644, 0, &entry, &opened));
}

TEST_F(LowLevel, ll_read_EBADF) {
  EXPECT_EQ("<EBADF>", read_at(open_inode(file("f"), O_WRONLY), 1, 0));
}

TEST_F(LowLevel, ll_read_EISDIR) {
  EXPECT_EQ("<EISDIR>", read_at(open_inode(dir_, O_RDONLY), 1, 0));
}

TEST_F(LowLevel, ll_read_EINVAL) {
  myfs_file* f = open_inode(file("f"));
  EXPECT_EQ("<EINVAL>", read_at(f, 1, -1));
  EXPECT_EQ(-EINVAL, myfs_ll_read(f, nullptr, nullptr, 1, 0));
  EXPECT_EQ(0, myfs_ll_read(f, nullptr, nullptr, 0, 0));
}

TEST_F(LowLevel, ll_write_EBADF) {
  EXPECT_EQ(-EBADF, write_at(open_inode(file("f"), O_RDONLY), "x", 0));
}

TEST_F(LowLevel, ll_write_EFBIG) {
  EXPECT_EQ(-EFBIG, write_at(open_inode(file("f")), "x", (1LL << 54) - 1));
}

TEST_F(LowLevel, ll_pwritev2_EOPNOTSUPP) {
  myfs_file* opened = open_inode(file("f"));
  EXPECT_EQ(-EOPNOTSUPP, myfs_ll_pwritev2(opened, nullptr, nullptr, 0, 0, 1U << 30));
}

TEST_F(LowLevel, ll_write_EINVAL) { EXPECT_EQ(-EINVAL, write_at(open_inode(file("f")), "x", -1)); }

TEST_F(LowLevel, ll_lseek_ENXIO) {
  EXPECT_EQ(-ENXIO, myfs_ll_lseek(open_inode(file("f")), nullptr, 1, SEEK_DATA));
}

TEST_F(LowLevel, ll_lseek_EINVAL) {
  EXPECT_EQ(-EINVAL, myfs_ll_lseek(open_inode(file("f")), nullptr, 0, SEEK_SET));
}

TEST_F(LowLevel, ll_copy_file_range_EBADF) {
  myfs_inode* f = file("f");
  EXPECT_EQ(-EBADF,
            myfs_ll_copy_file_range(open_inode(f, O_WRONLY), nullptr, 0, open_inode(f), 4096, 1));
  EXPECT_EQ(-EBADF,
            myfs_ll_copy_file_range(open_inode(f), nullptr, 0, open_inode(f, O_RDONLY), 4096, 1));
}

TEST_F(LowLevel, ll_copy_file_range_EINVAL) {
  myfs_file* f = open_inode(file("f"));
  ASSERT_EQ(4, write_at(f, "text", 0));
  EXPECT_EQ(-EINVAL, myfs_ll_copy_file_range(f, nullptr, -10, f, 4096, 1));
  EXPECT_EQ(-EINVAL, myfs_ll_copy_file_range(f, nullptr, 0, f, 1, 4));
  EXPECT_EQ(-EINVAL, myfs_ll_copy_file_range(f, nullptr, 0, nullptr, 4096, 1));
}

TEST_F(LowLevel, ll_copy_file_range_EISDIR) {
  myfs_file* f = open_inode(file("f"));
  EXPECT_EQ(-EISDIR, myfs_ll_copy_file_range(open_inode(dir_, O_RDONLY), nullptr, 0, f, 0, 1));
}

TEST_F(LowLevel, ll_fallocate_EBADF) {
  EXPECT_EQ(-EBADF, myfs_ll_fallocate(open_inode(file("f"), O_RDONLY), nullptr, 0, 0, 1));
}

TEST_F(LowLevel, ll_fallocate_EFBIG) {
  EXPECT_EQ(-EFBIG, myfs_ll_fallocate(open_inode(file("f")), nullptr, 0, 0, 1LL << 55));
}

TEST_F(LowLevel, ll_fallocate_EINVAL) {
  EXPECT_EQ(-EINVAL, myfs_ll_fallocate(open_inode(file("f")), nullptr, 0, 0, 0));
}

TEST_F(LowLevel, ll_fallocate_EOPNOTSUPP) {
  EXPECT_EQ(-EOPNOTSUPP,
            myfs_ll_fallocate(open_inode(file("f")), nullptr, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
}

TEST_F(LowLevel, ll_name_to_handle_ERANGE) {
  char handle[128];
  const ssize_t size = myfs_ll_name_to_handle(dir_, nullptr, nullptr, 0);
  ASSERT_GT(size, 0);
  ASSERT_LE(size, 128);
  EXPECT_EQ(-ERANGE, myfs_ll_name_to_handle(dir_, nullptr, handle, static_cast<size_t>(size) - 1));
  EXPECT_EQ(size, myfs_ll_name_to_handle(dir_, nullptr, handle, static_cast<size_t>(size)));
}

TEST_F(LowLevel, ll_open_by_handle_EPERM) {
  char handle[128];
  const ssize_t size = myfs_ll_name_to_handle(dir_, nullptr, handle, sizeof handle);
  myfs_entry entry = new_entry();
  EXPECT_EQ(-EPERM,
            myfs_ll_open_by_handle(dir_, user(), handle, static_cast<size_t>(size), &entry));
}

TEST_F(LowLevel, ll_open_by_handle_ESTALE) {
  char handle[128];
  const ssize_t size = myfs_ll_name_to_handle(file("f"), nullptr, handle, sizeof handle);
  ASSERT_EQ(0, myfs_ll_unlink(dir_, nullptr, "f"));
  restart_server();
  myfs_entry entry = new_entry();
  EXPECT_EQ(-ESTALE,
            myfs_ll_open_by_handle(dir_, nullptr, handle, static_cast<size_t>(size), &entry));
}

TEST_F(LowLevel, ll_open_by_handle_EACCES) {
  char handle[128];
  const ssize_t size = myfs_ll_name_to_handle(dir_, nullptr, handle, sizeof handle);
  handle[size - 1] = static_cast<char>(handle[size - 1] ^ 1);
  myfs_entry entry = new_entry();
  EXPECT_EQ(-EACCES,
            myfs_ll_open_by_handle(dir_, nullptr, handle, static_cast<size_t>(size), &entry));
}

TEST_F(LowLevel, ll_open_by_handle_EINVAL) {
  myfs_entry entry = new_entry();
  EXPECT_EQ(-EINVAL, myfs_ll_open_by_handle(dir_, nullptr, "short", 5, &entry));
  EXPECT_EQ(-EINVAL, myfs_ll_open_by_handle(dir_, nullptr, nullptr, 24, &entry));
}

TEST_F(LowLevel, ll_listen_EINVAL) {
  myfs_listener* listener;
  EXPECT_EQ(-EINVAL, myfs_ll_listen(dir_, nullptr, nullptr, &listener));
  EXPECT_EQ(-EINVAL, myfs_ll_listen(nullptr, nullptr, nullptr, &listener));
}

TEST_F(LowLevel, ll_readdir_ENOTDIR) {
  myfs_dirent entry;
  EXPECT_EQ(-ENOTDIR, myfs_ll_readdir(open_inode(file("f")), nullptr, 0, &entry, 1));
}

TEST_F(LowLevel, ll_readdir_EINVAL) {
  myfs_dirent entry;
  myfs_file* d = open_inode(dir_, O_RDONLY);
  EXPECT_EQ(-EINVAL, myfs_ll_readdir(d, nullptr, -1, &entry, 1));
  EXPECT_EQ(-EINVAL, myfs_ll_readdir(d, nullptr, 0, &entry, 0));
}

TEST_F(LowLevel, ll_readdir_ENOENT) {
  myfs_file* d = open_inode(directory("d"), O_RDONLY);
  ASSERT_EQ(0, myfs_ll_rmdir(dir_, nullptr, "d"));
  myfs_dirent entry;
  EXPECT_EQ(-ENOENT, myfs_ll_readdir(d, nullptr, 0, &entry, 1));
}

}  // namespace
}  // namespace myfs::test
