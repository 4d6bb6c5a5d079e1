// Calls whose paths begin at a descriptor.

#include <myfs/myfs.hpp>

#include <string>

#include "tests/posix/api_test.h"

namespace myfs::test {
namespace {

class At : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    make_dir("d");
    make_file("d/f", "in d");
    make_file("f", "outside");
    ASSERT_EQ(0, myfs_symlink(task_, "f", "d/l"));
    dir_fd_ = open("d", O_RDONLY | O_DIRECTORY);
    file_fd_ = open("f", O_RDONLY);
  }
  struct stat at(int dirfd, const char* path, int flags = 0) {
    struct stat st {};
    EXPECT_EQ(0, myfs_fstatat(task_, dirfd, path, &st, flags)) << path << ": " << last_message();
    return st;
  }
  int error_at(int dirfd, const char* path, int flags = 0) {
    struct stat st {};
    return myfs_fstatat(task_, dirfd, path, &st, flags);
  }

  int dir_fd_ = -1, file_fd_ = -1;
};

TEST_F(At, relative_paths_begin_at_the_descriptor_and_absolute_ones_do_not) {
  EXPECT_EQ(stat("d/f").st_ino, at(dir_fd_, "f").st_ino);
  EXPECT_EQ(stat("f").st_ino, at(AT_FDCWD, "f").st_ino);
  EXPECT_EQ(stat("f").st_ino, at(dir_fd_, "../f").st_ino);
  const std::string absolute = home() + "/f";
  EXPECT_EQ(stat("f").st_ino, at(dir_fd_, absolute.c_str()).st_ino);
  EXPECT_EQ(stat("f").st_ino, at(77, absolute.c_str()).st_ino);
  // It is the directory that is held, not its name.
  ASSERT_EQ(0, myfs_rename(task_, "d", "e"));
  EXPECT_EQ(stat("e/f").st_ino, at(dir_fd_, "f").st_ino);
}

TEST_F(At, openat_EBADF) {
  EXPECT_EQ(-EBADF, myfs_openat(task_, 77, "f", O_RDONLY, 0));
  EXPECT_EQ(-EBADF, myfs_openat(task_, -1, "f", O_RDONLY, 0));
  EXPECT_EQ(-ENOENT, myfs_openat(task_, 77, "", O_RDONLY, 0));
  EXPECT_EQ(-EBADF, myfs_mkdirat(task_, 77, "n", 0755));
  EXPECT_EQ(-EBADF, myfs_linkat(task_, dir_fd_, "f", 77, "n", 0));
  EXPECT_EQ(-EBADF, myfs_renameat2(task_, 77, "f", dir_fd_, "n", 0));
  EXPECT_EQ(-EBADF, error_at(77, "", AT_EMPTY_PATH));
}

TEST_F(At, openat_ENOTDIR) {
  EXPECT_EQ(-ENOTDIR, myfs_openat(task_, file_fd_, "f", O_RDONLY, 0));
  EXPECT_EQ(-ENOTDIR, myfs_openat(task_, file_fd_, "f", O_RDWR | O_CREAT, 0644));
  EXPECT_EQ(-ENOTDIR, myfs_mkdirat(task_, file_fd_, "n", 0755));
  EXPECT_EQ(-ENOTDIR, error_at(file_fd_, "."));
  EXPECT_EQ(-ENOTDIR, error_at(file_fd_, ".."));
}

TEST_F(At, openat_reads_and_creates_below_the_descriptor) {
  int fd = myfs_openat(task_, dir_fd_, "f", O_RDONLY, 0);
  EXPECT_EQ("in d", pread(fd, 9, 0));
  fd = myfs_openat(task_, dir_fd_, "new", O_RDWR | O_CREAT | O_EXCL, 0640);
  ASSERT_GE(fd, 0) << last_message();
  EXPECT_EQ(0640u, mode("d/new"));
  EXPECT_EQ(-EEXIST, myfs_openat(task_, dir_fd_, "new", O_RDWR | O_CREAT | O_EXCL, 0640));
  EXPECT_EQ(-ELOOP, myfs_openat(task_, dir_fd_, "l", O_RDONLY | O_NOFOLLOW, 0));
}

TEST_F(At, a_removed_directory_has_nothing_in_it) {
  make_dir("gone");
  int gone = open("gone", O_RDONLY);
  ASSERT_EQ(0, myfs_rmdir(task_, "gone"));
  EXPECT_EQ(-ENOENT, myfs_openat(task_, gone, "f", O_RDWR | O_CREAT, 0644));
  EXPECT_EQ(-ENOENT, myfs_mkdirat(task_, gone, "n", 0755));
  EXPECT_EQ(-ENOENT, error_at(gone, "f"));
  EXPECT_EQ(0u, at(gone, "", AT_EMPTY_PATH).st_nlink);
}

TEST_F(At, the_directory_is_searched_with_the_rights_of_the_call) {
  const myfs_cred* cred = user()->cred;
  ASSERT_EQ(0, myfs_chmod(task_, "d", 0700));
  if (::geteuid() == 0) {
    struct stat st;
    EXPECT_EQ(-EACCES, myfs_fstatat_x(task_, user(), dir_fd_, "f", &st, 0));
    EXPECT_EQ(0, myfs_fstatat_x(task_, user(), dir_fd_, "", &st, AT_EMPTY_PATH));
    ASSERT_EQ(0, myfs_chown(task_, "d", cred->uid, cred->gid));
    EXPECT_EQ(0, myfs_fstatat_x(task_, user(), dir_fd_, "f", &st, 0));
  }
}

TEST_F(At, mkdirat_mknodat_symlinkat_make_below_the_descriptor) {
  EXPECT_EQ(0, myfs_mkdirat(task_, dir_fd_, "sub", 0750));
  EXPECT_EQ(0750u, mode("d/sub"));
  EXPECT_EQ(0, myfs_mknodat(task_, dir_fd_, "fifo", S_IFIFO | 0600, 0));
  EXPECT_TRUE(S_ISFIFO(stat("d/fifo").st_mode));
  EXPECT_EQ(0, myfs_symlinkat(task_, "sub", dir_fd_, "sl"));
  char target[8] = {};
  EXPECT_EQ(3, myfs_readlinkat(task_, dir_fd_, "sl", target, sizeof target));
  EXPECT_STREQ("sub", target);
  for (const char* taken : {"sl", ".", "..", "/"}) {
    EXPECT_EQ(-EEXIST, myfs_mkdirat(task_, dir_fd_, taken, 0755)) << taken;
  }
  EXPECT_EQ(-ENOENT, myfs_mkdirat(task_, dir_fd_, "", 0755));
  EXPECT_EQ(0, myfs_mkdirat(task_, dir_fd_, "slash/", 0755));
  EXPECT_EQ(-ENOENT, myfs_symlinkat(task_, "x", dir_fd_, "slash2/"));
  EXPECT_EQ(-EINVAL, myfs_symlinkat(task_, nullptr, dir_fd_, "n"));
}

TEST_F(At, unlinkat_EINVAL) {
  EXPECT_EQ(-EINVAL, myfs_unlinkat(task_, dir_fd_, "f", AT_SYMLINK_NOFOLLOW));
  EXPECT_EQ(-EINVAL, myfs_unlinkat(task_, AT_FDCWD, "d/.", AT_REMOVEDIR));
}
TEST_F(At, unlinkat_EISDIR) { EXPECT_EQ(-EISDIR, myfs_unlinkat(task_, AT_FDCWD, "d", 0)); }
TEST_F(At, unlinkat_ENOTDIR) {
  EXPECT_EQ(-ENOTDIR, myfs_unlinkat(task_, dir_fd_, "f", AT_REMOVEDIR));
  EXPECT_EQ(-ENOTDIR, myfs_unlinkat(task_, dir_fd_, "f/", 0));
}
TEST_F(At, unlinkat_ENOTEMPTY) {
  EXPECT_EQ(-ENOTEMPTY, myfs_unlinkat(task_, AT_FDCWD, "d", AT_REMOVEDIR));
  EXPECT_EQ(-ENOTEMPTY, myfs_unlinkat(task_, dir_fd_, "..", AT_REMOVEDIR));
}
TEST_F(At, unlinkat_removes_files_and_with_its_flag_directories) {
  EXPECT_EQ(0, myfs_unlinkat(task_, dir_fd_, "l", 0));
  EXPECT_EQ(0, myfs_unlinkat(task_, dir_fd_, "f", 0));
  EXPECT_EQ("outside", content("f"));
  EXPECT_EQ(0, myfs_unlinkat(task_, AT_FDCWD, "d/", AT_REMOVEDIR));
  EXPECT_EQ(-EBUSY, myfs_unlinkat(task_, dir_fd_, "/", AT_REMOVEDIR));
}

TEST_F(At, renameat2_EINVAL) {
  EXPECT_EQ(-EINVAL, myfs_renameat2(task_, dir_fd_, "f", dir_fd_, "g", 8));
  EXPECT_EQ(-EINVAL, myfs_renameat2(task_, dir_fd_, "f", dir_fd_, "g", 3));
  EXPECT_EQ(-EINVAL, myfs_renameat2(task_, AT_FDCWD, "d", dir_fd_, "below", 0));
}
TEST_F(At, renameat2_EEXIST) {
  EXPECT_EQ(-EEXIST, myfs_renameat2(task_, AT_FDCWD, "f", dir_fd_, "f", 1));
}
TEST_F(At, renameat2_moves_from_one_descriptor_to_another) {
  make_dir("e");
  int to = open("e", O_PATH);
  EXPECT_EQ(0, myfs_renameat2(task_, dir_fd_, "f", to, "g", 0));
  EXPECT_EQ("in d", content("e/g"));
  EXPECT_EQ(0, myfs_renameat2(task_, AT_FDCWD, "f", to, "g", 2));
  EXPECT_EQ("in d", content("f"));
  EXPECT_EQ(-EBUSY, myfs_renameat2(task_, to, ".", dir_fd_, "h", 0));
  EXPECT_EQ(-EBUSY, myfs_renameat2(task_, to, "g", dir_fd_, "..", 0));
}

TEST_F(At, linkat_EINVAL) {
  EXPECT_EQ(-EINVAL, myfs_linkat(task_, dir_fd_, "f", dir_fd_, "n", AT_SYMLINK_NOFOLLOW));
}
TEST_F(At, linkat_EEXIST) {
  EXPECT_EQ(-EEXIST, myfs_linkat(task_, dir_fd_, "f", dir_fd_, "l", 0));
  EXPECT_EQ(-EEXIST, myfs_linkat(task_, dir_fd_, "f", dir_fd_, ".", 0));
}
TEST_F(At, linkat_ENOENT) {
  EXPECT_EQ(-ENOENT, myfs_linkat(task_, file_fd_, "", dir_fd_, "n", 0));
  EXPECT_EQ(-ENOENT, myfs_linkat(task_, dir_fd_, "f", dir_fd_, "n/", 0));
  ASSERT_EQ(0, myfs_unlink(task_, "f"));
  EXPECT_EQ(-ENOENT, myfs_linkat(task_, file_fd_, "", dir_fd_, "n", AT_EMPTY_PATH));
  int other = open("d/f", O_RDONLY);
  ASSERT_EQ(0, myfs_chmod(task_, "d", 0777));
  if (::geteuid() == 0) {
    EXPECT_EQ(-ENOENT, myfs_linkat_x(task_, user(), other, "", dir_fd_, "n", AT_EMPTY_PATH));
  }
  EXPECT_EQ(0, myfs_linkat(task_, other, "", dir_fd_, "n", AT_EMPTY_PATH));
}
TEST_F(At, linkat_EXDEV) {
  make_dir("mnt");
  ASSERT_EQ(0, myfs_mount(task_, server_->url().c_str(), "mnt", nullptr));
  EXPECT_EQ(-EXDEV, myfs_linkat(task_, dir_fd_, "f", AT_FDCWD, "mnt/n", 0));
  EXPECT_EQ(-EXDEV, myfs_renameat2(task_, dir_fd_, "f", AT_FDCWD, "mnt/n", 0));
  EXPECT_EQ(-EBUSY, myfs_unlinkat(task_, AT_FDCWD, "mnt", AT_REMOVEDIR));
  EXPECT_EQ(-EBUSY, myfs_renameat2(task_, AT_FDCWD, "mnt", AT_FDCWD, "other", 0));
  EXPECT_EQ(0, myfs_umount(task_, "mnt", 0));
}
TEST_F(At, linkat_follows_a_link_only_if_asked) {
  EXPECT_EQ(0, myfs_linkat(task_, dir_fd_, "l", dir_fd_, "link", 0));
  EXPECT_TRUE(S_ISLNK(stat("d/link").st_mode));
  EXPECT_EQ(0, myfs_linkat(task_, dir_fd_, "l", dir_fd_, "file", AT_SYMLINK_FOLLOW));
  EXPECT_EQ(stat("d/f").st_ino, stat("d/file").st_ino);
  EXPECT_EQ(-EPERM, myfs_linkat(task_, AT_FDCWD, "d", dir_fd_, "n", 0));
  EXPECT_EQ(-EPERM, myfs_linkat(task_, dir_fd_, "", dir_fd_, "n", AT_EMPTY_PATH));
  int place = open("d/l", O_PATH | O_NOFOLLOW);
  EXPECT_EQ(0, myfs_linkat(task_, place, "", dir_fd_, "again", AT_EMPTY_PATH));
  EXPECT_TRUE(S_ISLNK(stat("d/again").st_mode));
}

TEST_F(At, readlinkat_EINVAL) {
  char buffer[8];
  EXPECT_EQ(-EINVAL, myfs_readlinkat(task_, dir_fd_, "f", buffer, sizeof buffer));
  EXPECT_EQ(-EINVAL, myfs_readlinkat(task_, dir_fd_, "l", buffer, 0));
}
TEST_F(At, readlinkat_ENOENT) {
  char buffer[8];
  EXPECT_EQ(-ENOENT, myfs_readlinkat(task_, dir_fd_, "", buffer, sizeof buffer));
  EXPECT_EQ(-ENOENT, myfs_readlinkat(task_, file_fd_, "", buffer, sizeof buffer));
}
TEST_F(At, readlinkat_of_the_descriptor_of_a_link) {
  int link = open("d/l", O_PATH | O_NOFOLLOW);
  char buffer[8] = {};
  EXPECT_EQ(1, myfs_readlinkat(task_, link, "", buffer, sizeof buffer));
  EXPECT_STREQ("f", buffer);
  EXPECT_TRUE(S_ISLNK(at(link, "", AT_EMPTY_PATH).st_mode));
  EXPECT_EQ(-ENOTDIR, error_at(link, "f"));
}

TEST_F(At, fchmodat_EINVAL) {
  EXPECT_EQ(-EINVAL, myfs_fchmodat(task_, dir_fd_, "f", 0600, AT_REMOVEDIR));
}
TEST_F(At, fchmodat_EOPNOTSUPP) {
  EXPECT_EQ(-EOPNOTSUPP, myfs_fchmodat(task_, dir_fd_, "l", 0600, AT_SYMLINK_NOFOLLOW));
}
TEST_F(At, fchmodat_of_paths_and_descriptors) {
  EXPECT_EQ(0, myfs_fchmodat(task_, dir_fd_, "l", 0604, 0));
  EXPECT_EQ(0604u, mode("d/f"));
  EXPECT_EQ(0, myfs_fchmodat(task_, dir_fd_, "f", 0600, AT_SYMLINK_NOFOLLOW));
  EXPECT_EQ(0600u, mode("d/f"));
  int place = open("f", O_PATH);
  EXPECT_EQ(0, myfs_fchmodat(task_, place, "", 0640, AT_EMPTY_PATH));
  EXPECT_EQ(0640u, mode("f"));
  EXPECT_EQ(-ENOENT, myfs_fchmodat(task_, place, "", 0600, 0));
}

TEST_F(At, fchownat_EINVAL) {
  EXPECT_EQ(-EINVAL, myfs_fchownat(task_, dir_fd_, "f", 1, 1, AT_SYMLINK_FOLLOW));
}
TEST_F(At, fchownat_of_links_and_descriptors) {
  const uid_t me = ::geteuid();
  const gid_t group = ::getegid();
  EXPECT_EQ(0, myfs_fchownat(task_, dir_fd_, "l", me, group, AT_SYMLINK_NOFOLLOW));
  EXPECT_EQ(0, myfs_fchownat(task_, file_fd_, "", me, group, AT_EMPTY_PATH));
  if (me != 0) return;
  EXPECT_EQ(0, myfs_fchownat(task_, dir_fd_, "l", 5, 6, AT_SYMLINK_NOFOLLOW));
  EXPECT_EQ(5u, stat("d/l").st_uid);
  EXPECT_EQ(0u, stat("d/f").st_uid);
  EXPECT_EQ(0, myfs_fchownat(task_, dir_fd_, "l", 7, static_cast<gid_t>(-1), 0));
  EXPECT_EQ(7u, stat("d/f").st_uid);
  int place = open("f", O_PATH);
  EXPECT_EQ(0, myfs_fchownat(task_, place, "", 8, 9, AT_EMPTY_PATH));
  EXPECT_EQ(9u, stat("f").st_gid);
}

TEST_F(At, utimensat_EINVAL) {
  timespec wrong[2] = {{0, 1'000'000'000}, {0, 0}}, times[2] = {{1, 2}, {3, 4}};
  EXPECT_EQ(-EINVAL, myfs_utimensat(task_, dir_fd_, "f", wrong, 0));
  EXPECT_EQ(-EINVAL, myfs_utimensat(task_, dir_fd_, "f", times, AT_REMOVEDIR));
}
TEST_F(At, utimensat_of_links_and_descriptors) {
  timespec times[2] = {{1, 2}, {3, 4}};
  EXPECT_EQ(0, myfs_utimensat(task_, dir_fd_, "l", times, AT_SYMLINK_NOFOLLOW));
  EXPECT_EQ(3, stat("d/l").st_mtim.tv_sec);
  EXPECT_NE(3, stat("d/f").st_mtim.tv_sec);
  int place = open("f", O_PATH);
  EXPECT_EQ(0, myfs_utimensat(task_, place, "", times, AT_EMPTY_PATH));
  EXPECT_EQ(2, stat("f").st_atim.tv_nsec);
  // Nothing is asked for, so nothing is looked at.
  timespec omit[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
  EXPECT_EQ(0, myfs_utimensat(task_, 77, "missing", omit, 0));
  EXPECT_EQ(-ENOENT, myfs_utimensat(task_, dir_fd_, "missing", nullptr, 0));
}

TEST_F(At, faccessat_EINVAL) {
  EXPECT_EQ(-EINVAL, myfs_faccessat(task_, dir_fd_, "f", 8, 0));
  EXPECT_EQ(-EINVAL, myfs_faccessat(task_, dir_fd_, "f", R_OK, AT_SYMLINK_FOLLOW));
}
TEST_F(At, faccessat_EACCES) {
  ASSERT_EQ(0, myfs_chmod(task_, "d/f", 0444));
  ASSERT_EQ(0, myfs_chmod(task_, "f", 0444));
  EXPECT_EQ(0, myfs_faccessat_x(task_, user(), dir_fd_, "f", R_OK, AT_EACCESS));
  EXPECT_EQ(-EACCES, myfs_faccessat_x(task_, user(), dir_fd_, "f", W_OK, AT_EACCESS));
  EXPECT_EQ(-EACCES, myfs_faccessat_x(task_, user(), dir_fd_, "l", W_OK, 0));
  EXPECT_EQ(0, myfs_faccessat_x(task_, user(), dir_fd_, "l", W_OK, AT_SYMLINK_NOFOLLOW));
  EXPECT_EQ(-EACCES, myfs_faccessat_x(task_, user(), file_fd_, "", W_OK, AT_EMPTY_PATH));
}

TEST_F(At, fstatat_EINVAL) {
  EXPECT_EQ(-EINVAL, error_at(dir_fd_, "f", AT_REMOVEDIR));
  EXPECT_EQ(0, error_at(dir_fd_, "f", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC)) << "as Linux";
  EXPECT_EQ(-EINVAL, myfs_fstatat(task_, dir_fd_, "f", nullptr, 0));
}
TEST_F(At, fstatat_follows_or_not) {
  EXPECT_EQ(stat("d/f").st_ino, at(dir_fd_, "l", AT_NO_AUTOMOUNT).st_ino);
  EXPECT_EQ(stat("d/l").st_ino, at(dir_fd_, "l", AT_SYMLINK_NOFOLLOW).st_ino);
  EXPECT_EQ(stat("f").st_ino, at(file_fd_, "", AT_EMPTY_PATH).st_ino);
  EXPECT_EQ(stat(".").st_ino, at(AT_FDCWD, "", AT_EMPTY_PATH).st_ino);
  EXPECT_EQ(-ENOENT, error_at(file_fd_, ""));
}

TEST_F(At, statxat_EINVAL) {
  struct statx out;
  EXPECT_EQ(-EINVAL, myfs_statxat(task_, dir_fd_, "f", 1 << 30, STATX_ALL, &out));
  EXPECT_EQ(-EINVAL, myfs_statxat(task_, dir_fd_, "f", 0, STATX__RESERVED, &out));
  const int both = AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC;
  EXPECT_EQ(-EINVAL, myfs_statxat(task_, dir_fd_, "f", both, STATX_ALL, &out));
}
TEST_F(At, statxat_and_statx_tell_the_same) {
  struct statx a, b;
  ASSERT_EQ(0, myfs_statxat(task_, dir_fd_, "f", 0, STATX_ALL, &a));
  ASSERT_EQ(0, myfs_statx(task_, "d/f", AT_STATX_FORCE_SYNC, STATX_ALL, &b));
  EXPECT_EQ(a.stx_ino, b.stx_ino);
  EXPECT_EQ(a.stx_btime.tv_nsec, b.stx_btime.tv_nsec);
  ASSERT_EQ(0, myfs_statxat(task_, file_fd_, "", AT_EMPTY_PATH, STATX_ALL, &a));
  EXPECT_EQ(stat("f").st_ino, a.stx_ino);
}

TEST_F(At, opendirat_EBADF) {
  myfs_dir* dir = nullptr;
  EXPECT_EQ(-EBADF, myfs_opendirat(task_, 77, "d", &dir));
}
TEST_F(At, opendirat_ENOTDIR) {
  myfs_dir* dir = nullptr;
  EXPECT_EQ(-ENOTDIR, myfs_opendirat(task_, dir_fd_, "f", &dir));
  EXPECT_EQ(-ENOTDIR, myfs_opendirat(task_, file_fd_, "f", &dir));
}
TEST_F(At, fdopendir_EBADF) {
  myfs_dir* dir = nullptr;
  EXPECT_EQ(-EBADF, myfs_fdopendir(task_, 77, &dir));
  EXPECT_EQ(-EBADF, myfs_fdopendir(task_, open("d", O_PATH), &dir));
}
TEST_F(At, fdopendir_ENOTDIR) {
  myfs_dir* dir = nullptr;
  EXPECT_EQ(-ENOTDIR, myfs_fdopendir(task_, file_fd_, &dir));
  close(file_fd_);  // still the caller's
}
TEST_F(At, streams_of_descriptors_list_what_is_there) {
  myfs_dir* dir = nullptr;
  ASSERT_EQ(0, myfs_opendirat(task_, dir_fd_, ".", &dir)) << last_message();
  myfs_dirent entry;
  int count = 0;
  int64_t third = 0;
  while (myfs_readdir(dir, &entry) == 1) {
    if (++count == 3) third = entry.next;
  }
  EXPECT_EQ(4, count);
  ASSERT_EQ(0, myfs_closedir(dir));
  // From the descriptor's position on.
  ASSERT_EQ(third, myfs_lseek(task_, dir_fd_, third, SEEK_SET));
  ASSERT_EQ(0, myfs_fdopendir(task_, dir_fd_, &dir));
  EXPECT_EQ(third, myfs_telldir(dir));
  EXPECT_EQ(1, myfs_readdir(dir, &entry));
  EXPECT_EQ(0, myfs_readdir(dir, &entry));
  EXPECT_EQ(dir_fd_, myfs_dirfd(dir));
  ASSERT_EQ(0, myfs_closedir(dir));
  struct stat st;
  EXPECT_EQ(-EBADF, myfs_fstat(task_, dir_fd_, &st));
}

TEST_F(At, realpath_ERANGE) {
  const std::string path = home() + "/d/f";
  char buffer[256];
  EXPECT_EQ(-ERANGE, myfs_realpath(task_, "d/f", buffer, path.size()));
  EXPECT_EQ(static_cast<ssize_t>(path.size() + 1),
            myfs_realpath(task_, "d/f", buffer, path.size() + 1));
}
TEST_F(At, realpath_EINVAL) {
  char buffer[256];
  EXPECT_EQ(-EINVAL, myfs_realpath(task_, "d/f", buffer, 0));
  EXPECT_EQ(-EINVAL, myfs_realpath(task_, "d/f", nullptr, 1));
  EXPECT_EQ(-EINVAL, myfs_realpath(task_, nullptr, buffer, 1));
}
TEST_F(At, realpath_ENAMETOOLONG) {
  const std::string name(255, 'n');
  for (int i = 0; i < 17; ++i) {
    make_dir(name.c_str());
    ASSERT_EQ(0, myfs_chdir(task_, name.c_str()));
  }
  std::string buffer(8192, '?');
  EXPECT_EQ(-ENAMETOOLONG, myfs_realpath(task_, ".", buffer.data(), buffer.size()));
}
TEST_F(At, realpath_resolves_links_and_dots) {
  char buffer[256];
  ASSERT_LT(0, myfs_realpath(task_, "d/../d/./l", buffer, sizeof buffer)) << last_message();
  EXPECT_EQ(home() + "/d/f", buffer);
  ASSERT_EQ(2, myfs_realpath(task_, "/../.", buffer, sizeof buffer));
  EXPECT_STREQ("/", buffer);
  EXPECT_EQ(-ENOENT, myfs_realpath(task_, "missing", buffer, sizeof buffer));
  EXPECT_EQ(-ENOENT, myfs_realpath(task_, "", buffer, sizeof buffer));
}

TEST_F(At, chroot_EPERM) {
  if (::geteuid() == 0) {
    EXPECT_EQ(-EPERM, myfs_chroot_x(task_, user(), "d"));
  }
  EXPECT_EQ(-ENOENT, myfs_chroot_x(task_, user(), "missing"));
}
TEST_F(At, chroot_ENOTDIR) { EXPECT_EQ(-ENOTDIR, myfs_chroot(task_, "f")); }
TEST_F(At, chroot_EACCES) {
  make_dir("closed", 0700);
  EXPECT_EQ(::geteuid() == 0 ? -EACCES : -EPERM, myfs_chroot_x(task_, user(), "closed"));
}

// The C++ layer makes the same calls.
TEST_F(At, cpp_calls_relative_to_a_directory) {
  Result<Task> opened = Task::open(server_->url());
  ASSERT_TRUE(opened.ok()) << opened.error().message();
  Task& task = *opened;
  ASSERT_TRUE(task.chdir(home()).ok());
  Result<File> dir = task.openat(AT_FDCWD, "d", O_PATH | O_DIRECTORY);
  ASSERT_TRUE(dir.ok()) << dir.error().message();
  const int at = dir->fd();
  EXPECT_EQ(stat("d/f").st_ino, task.statat(at, "f")->st_ino);
  EXPECT_TRUE(task.mkdirat(at, "n").ok());
  EXPECT_TRUE(task.symlinkat("f", at, "s").ok());
  EXPECT_EQ("f", *task.readlinkat(at, "s"));
  EXPECT_TRUE(task.linkat(at, "f", at, "g").ok());
  EXPECT_TRUE(task.renameat(at, "g", at, "h").ok());
  EXPECT_TRUE(task.chmodat(at, "h", 0600).ok());
  EXPECT_TRUE(task.accessat(at, "h", R_OK).ok());
  EXPECT_TRUE(task.mknodat(at, "p", S_IFIFO | 0600).ok());
  EXPECT_TRUE(task.unlinkat(at, "n", AT_REMOVEDIR).ok());
  EXPECT_EQ(home() + "/d/f", *task.realpath("d/s"));
  Result<File> file = task.openat2(at, "h", {sizeof(myfs_open_how), O_RDWR, 0, 8});
  ASSERT_TRUE(file.ok()) << file.error().message();
  EXPECT_TRUE(file->setxattr("user.a", "value").ok());
  EXPECT_EQ("value", *file->getxattr("user.a"));
  EXPECT_EQ(std::string("user.a\0", 7), *file->listxattr());
  EXPECT_EQ(EXDEV, task.openat2(at, "..", {sizeof(myfs_open_how), O_RDONLY, 0, 8}).error().value());
  Result<File> copy = file->dup(50, true);
  ASSERT_TRUE(copy.ok());
  EXPECT_EQ(50, copy->fd());
  EXPECT_EQ(FD_CLOEXEC, *copy->fcntl(F_GETFD));
  EXPECT_TRUE(file->fallocate(0, 0, 100).ok());
  EXPECT_EQ(100, file->stat()->st_size);
  Result<Dir> stream = task.opendirat(at, ".");
  ASSERT_TRUE(stream.ok());
  EXPECT_TRUE(stream->next()->has_value());
}

}  // namespace
}  // namespace myfs::test
