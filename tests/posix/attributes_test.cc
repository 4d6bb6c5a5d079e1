// Attributes: modes, owners, times, sizes, extended attributes.

#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <vector>

#include "tests/posix/api_test.h"

namespace myfs::test {
namespace {

bool same(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}
bool before(const timespec& a, const timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

using Mode = ApiTest;

TEST_F(Mode, AllBitsOfAllTypes) {
  make_file("f");
  make_dir("d");
  ASSERT_EQ(0, myfs_mknod(task_, "p", S_IFIFO | 0600, 0));
  for (const char* path : {"f", "d", "p"}) {
    for (mode_t bits : {0u, 0777u, 04755u, 02755u, 01777u, 07777u, 0644u}) {
      ASSERT_EQ(0, myfs_chmod(task_, path, bits));
      EXPECT_EQ(bits, mode(path)) << path;
    }
  }
  // Bits beyond 07777 are ignored, the type stays.
  ASSERT_EQ(0, myfs_chmod(task_, "f", S_IFDIR | 0600));
  EXPECT_EQ(static_cast<mode_t>(S_IFREG | 0600), stat("f").st_mode);
  ASSERT_EQ(0, myfs_symlink(task_, "f", "l"));
  ASSERT_EQ(0, myfs_chmod(task_, "l", 0640));
  EXPECT_EQ(0640u, mode("f"));
  EXPECT_EQ(0777u, mode("l"));
  int fd = open("f");
  ASSERT_EQ(0, myfs_fchmod(task_, fd, 0604));
  EXPECT_EQ(0604u, mode("f"));
  close(fd);
}

TEST_F(Mode, UmaskOfEveryCallThatMakes) {
  myfs_umask(task_, 0137);
  ASSERT_EQ(0, myfs_mkdir(task_, "d", 0777));
  ASSERT_EQ(0, myfs_mknod(task_, "n", S_IFREG | 0777, 0));
  ASSERT_EQ(0, myfs_mknod(task_, "p", S_IFIFO | 0777, 0));
  close(open("f", O_WRONLY | O_CREAT, 0777));
  for (const char* path : {"d", "n", "p", "f"}) EXPECT_EQ(0640u, mode(path)) << path;
  // The other task has its own.
  Client other(server_->url());
  ASSERT_EQ(0, myfs_mkdir(other, (home() + "/other").c_str(), 0777));
  EXPECT_EQ(0755u, mode("other"));
  EXPECT_EQ(0137u, myfs_umask(task_, 07777));
  EXPECT_EQ(0777u, myfs_umask(task_, 022));
}

// A directory's setgid bit gives its group to what is made in it, and itself to directories.
TEST_F(Mode, SetgidDirectoriesHandDownTheirGroup) {
  make_dir("d");
  ASSERT_EQ(0, myfs_chown(task_, "d", static_cast<uid_t>(-1), ::getegid()));
  ASSERT_EQ(0, myfs_chmod(task_, "d", 02775));
  gid_t group = stat("d").st_gid;
  ASSERT_EQ(0, myfs_mkdir(task_, "d/sub", 0755));
  close(open("d/f"));
  EXPECT_EQ(02755u, mode("d/sub"));
  EXPECT_EQ(group, stat("d/sub").st_gid);
  EXPECT_EQ(group, stat("d/f").st_gid);
  EXPECT_EQ(0644u, mode("d/f"));
}

using Times = ApiTest;

TEST_F(Times, AreKeptToTheNanosecond) {
  make_file("f");
  const timespec table[][2] = {{{0, 0}, {0, 0}},
                               {{1, 1}, {2, 999'999'999}},
                               {{-1, 500'000'000}, {-1'000'000'000, 7}},
                               {{4'102'444'800, 123'456'789}, {253'402'300'799, 999'999'999}}};
  for (const auto& times : table) {
    ASSERT_EQ(0, myfs_utimens(task_, "f", times, 0)) << last_message();
    EXPECT_TRUE(same(times[0], stat("f").st_atim)) << times[0].tv_sec;
    EXPECT_TRUE(same(times[1], stat("f").st_mtim)) << times[1].tv_sec;
  }
  ASSERT_EQ(0, myfs_sync(task_));
  restart_server();
  Client other(server_->url());
  EXPECT_TRUE(same(table[3][1], other.stat(home() + "/f").st_mtim));
}

TEST_F(Times, NowAndOmit) {
  make_file("f");
  timespec old[2] = {{1000, 0}, {2000, 0}};
  ASSERT_EQ(0, myfs_utimens(task_, "f", old, 0));
  struct stat st = stat("f");
  timespec access_only[2] = {{3000, 5}, {0, UTIME_OMIT}};
  ASSERT_EQ(0, myfs_utimens(task_, "f", access_only, 0));
  EXPECT_TRUE(same(access_only[0], stat("f").st_atim));
  EXPECT_TRUE(same(old[1], stat("f").st_mtim));
  EXPECT_TRUE(before(st.st_ctim, stat("f").st_ctim));
  timespec now[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
  ASSERT_EQ(0, myfs_utimens(task_, "f", now, 0));
  EXPECT_TRUE(same(access_only[0], stat("f").st_atim));
  EXPECT_TRUE(before(old[1], stat("f").st_mtim));
  int fd = open("f");
  ASSERT_EQ(0, myfs_futimens(task_, fd, old));
  EXPECT_TRUE(same(old[1], stat("f").st_mtim));
  ASSERT_EQ(0, myfs_futimens(task_, fd, nullptr));
  EXPECT_TRUE(before(old[0], stat("f").st_atim));
  close(fd);
}

TEST_F(Times, OfALinkItself) {
  make_file("f");
  ASSERT_EQ(0, myfs_symlink(task_, "f", "l"));
  timespec times[2] = {{11, 0}, {12, 0}};
  ASSERT_EQ(0, myfs_utimens(task_, "l", times, AT_SYMLINK_NOFOLLOW));
  EXPECT_EQ(12, stat("l").st_mtim.tv_sec);
  EXPECT_NE(12, stat("f").st_mtim.tv_sec);
  ASSERT_EQ(0, myfs_utimens(task_, "l", times, 0));
  EXPECT_EQ(12, stat("f").st_mtim.tv_sec);
}

// What changes which time, as POSIX says. mtime is set back first: clocks of client and server may
// differ by less than one can see here.
TEST_F(Times, ChangeWithTheOperations) {
  const timespec old[2] = {{1000, 0}, {1000, 0}};
  auto age = [&] {
    ASSERT_EQ(0, myfs_utimens(task_, "d/f", old, 0));
    ASSERT_EQ(0, myfs_utimens(task_, "d", old, 0));
  };
  auto modified = [&](const char* path) { return stat(path).st_mtim.tv_sec != 1000; };
  make_dir("d");
  make_file("d/f");
  age();
  struct stat file = stat("d/f");
  ASSERT_EQ(0, myfs_chmod(task_, "d/f", 0600));
  EXPECT_TRUE(before(file.st_ctim, stat("d/f").st_ctim));
  EXPECT_FALSE(modified("d/f"));
  EXPECT_FALSE(modified("d"));
  close(open("d/new"));
  EXPECT_TRUE(modified("d"));
  age();
  ASSERT_EQ(0, myfs_unlink(task_, "d/new"));
  EXPECT_TRUE(modified("d"));
  EXPECT_FALSE(modified("d/f"));
  age();
  int fd = open("d/f", O_RDWR);
  write(fd, "x");
  EXPECT_TRUE(modified("d/f"));
  EXPECT_FALSE(modified("d"));
  age();
  EXPECT_FALSE(modified("d/f"));
  ASSERT_EQ(0, myfs_ftruncate(task_, fd, 0));
  EXPECT_TRUE(modified("d/f"));
  close(fd);
  age();
  EXPECT_EQ("", content("d/f"));
  EXPECT_FALSE(modified("d/f"));
  ASSERT_EQ(0, myfs_rename(task_, "d/f", "d/g"));
  EXPECT_TRUE(modified("d"));
  EXPECT_FALSE(modified("d/g"));
}

// Closing and reading leave mtime as utimens has set it, also with data of before on its way.
TEST_F(Times, UtimensWinsOverEarlierWrites) {
  int fd = open("f");
  write(fd, "data");
  timespec times[2] = {{11, 0}, {12, 34}};
  ASSERT_EQ(0, myfs_futimens(task_, fd, times));
  close(fd);
  EXPECT_TRUE(same(times[1], stat("f").st_mtim));
  EXPECT_EQ("data", content("f"));
  Client other(server_->url());
  EXPECT_TRUE(same(times[1], other.stat(home() + "/f").st_mtim));
}

using Stat = ApiTest;

TEST_F(Stat, OfEveryType) {
  make_file("f", "12345");
  struct stat st = stat("f");
  EXPECT_TRUE(S_ISREG(st.st_mode));
  EXPECT_EQ(5, st.st_size);
  EXPECT_EQ(1u, st.st_nlink);
  EXPECT_EQ(::geteuid(), st.st_uid);
  EXPECT_EQ(::getegid(), st.st_gid);
  EXPECT_GT(st.st_blksize, 0);
  EXPECT_NE(0u, st.st_ino);
  ASSERT_EQ(0, myfs_symlink(task_, "0123456", "l"));
  EXPECT_TRUE(S_ISLNK(stat("l").st_mode));
  EXPECT_EQ(7, stat("l").st_size);
  ASSERT_EQ(0, myfs_mknod(task_, "s", S_IFSOCK | 0600, 0));
  EXPECT_TRUE(S_ISSOCK(stat("s").st_mode));
  ASSERT_EQ(0, myfs_mknod(task_, "n", 0640, 0));
  EXPECT_TRUE(S_ISREG(stat("n").st_mode));
  EXPECT_EQ(0, stat("n").st_size);
  int fd = open("f");
  struct stat by_fd;
  ASSERT_EQ(0, myfs_fstat(task_, fd, &by_fd));
  EXPECT_EQ(st.st_ino, by_fd.st_ino);
  EXPECT_EQ(st.st_size, by_fd.st_size);
  close(fd);
}

TEST_F(Stat, SizeCountsWhatIsNotWrittenYet) {
  int fd = open("f");
  write(fd, std::string(70'000, 'x'));
  EXPECT_EQ(70'000, stat("f").st_size);
  EXPECT_EQ(70'000, myfs_lseek(task_, fd, 0, SEEK_END));
  Client other(server_->url());
  EXPECT_EQ(70'000, other.stat(home() + "/f").st_size) << "asked of the writer";
  close(fd);
}

TEST_F(Stat, Statx) {
  make_file("f", "12345");
  struct stat st = stat("f");
  struct statx x;
  ASSERT_EQ(0, myfs_statx(task_, "f", 0, STATX_BASIC_STATS, &x));
  EXPECT_EQ(static_cast<unsigned>(STATX_BASIC_STATS), x.stx_mask & STATX_BASIC_STATS);
  EXPECT_EQ(st.st_ino, x.stx_ino);
  EXPECT_EQ(st.st_mode, x.stx_mode);
  EXPECT_EQ(5u, x.stx_size);
  EXPECT_EQ(st.st_mtim.tv_nsec, x.stx_mtime.tv_nsec);
  timespec old[2] = {{5, 0}, {5, 0}};
  ASSERT_EQ(0, myfs_utimens(task_, "f", old, 0));
  for (int flags : {0, AT_STATX_FORCE_SYNC, AT_STATX_DONT_SYNC}) {
    ASSERT_EQ(0, myfs_statx(task_, "f", flags, STATX_ALL, &x));
    EXPECT_EQ(5, x.stx_mtime.tv_sec);
  }
  ASSERT_EQ(0, myfs_symlink(task_, "f", "l"));
  ASSERT_EQ(0, myfs_statx(task_, "l", AT_SYMLINK_NOFOLLOW, STATX_TYPE, &x));
  EXPECT_TRUE(S_ISLNK(x.stx_mode));
}

TEST_F(Stat, StatxTellsTheBirth) {
  make_file("f");
  struct statx x;
  ASSERT_EQ(0, myfs_statx(task_, "f", 0, STATX_BTIME, &x));
  EXPECT_NE(0u, x.stx_mask & STATX_BTIME);
  const int64_t birth = x.stx_btime.tv_sec;
  EXPECT_GT(birth, 1'600'000'000);
  timespec old[2] = {{5, 0}, {5, 0}};
  ASSERT_EQ(0, myfs_utimens(task_, "f", old, 0));
  for (int flags : {0, AT_STATX_FORCE_SYNC, AT_STATX_DONT_SYNC}) {
    ASSERT_EQ(0, myfs_statx(task_, "f", flags, STATX_ALL, &x));
    EXPECT_NE(0u, x.stx_mask & STATX_BTIME);
    EXPECT_EQ(birth, x.stx_btime.tv_sec);
  }
}

TEST_F(Stat, DirectoriesOfOneFileSystemShareTheDevice) {
  make_dir("d");
  make_file("d/f");
  EXPECT_EQ(stat("/").st_dev, stat("d/f").st_dev);
  EXPECT_NE(stat("d").st_ino, stat("d/f").st_ino);
}

using Xattr = ApiTest;

TEST_F(Xattr, ValuesOfAllSizes) {
  make_file("f");
  make_dir("d");
  for (const char* path : {"f", "d"}) {
    for (size_t size : {0u, 1u, 255u, 4096u, 65536u}) {
      std::string value(size, 'v'), got(65536, '?');
      ASSERT_EQ(0, myfs_setxattr(task_, path, "user.a", value.data(), size, 0, 0)) << size;
      ASSERT_EQ(static_cast<ssize_t>(size),
                myfs_getxattr(task_, path, "user.a", got.data(), got.size(), 0));
      EXPECT_EQ(value, got.substr(0, size));
    }
  }
}

TEST_F(Xattr, ListAndRemove) {
  make_file("f");
  for (const char* name : {"user.a", "user.b", "user.long-name"}) {
    ASSERT_EQ(0, myfs_setxattr(task_, "f", name, name, std::strlen(name), XATTR_CREATE, 0));
  }
  ASSERT_EQ(0, myfs_removexattr(task_, "f", "user.b", 0));
  char list[256];
  ssize_t length = myfs_listxattr(task_, "f", list, sizeof list, 0);
  std::string names(list, length > 0 ? static_cast<size_t>(length) : 0);
  EXPECT_EQ(7u + 15u, names.size());
  EXPECT_NE(std::string::npos, names.find(std::string("user.a\0", 7)));
  EXPECT_NE(std::string::npos, names.find(std::string("user.long-name\0", 15)));
  // With the file they survive a rename and the server.
  ASSERT_EQ(0, myfs_rename(task_, "f", "g"));
  ASSERT_EQ(0, myfs_sync(task_));
  restart_server();
  Client other(server_->url());
  char value[16];
  EXPECT_EQ(6, myfs_getxattr(other, (home() + "/g").c_str(), "user.a", value, sizeof value, 0));
}

TEST_F(Xattr, ChangesCtimeAlone) {
  make_file("f");
  struct stat old = stat("f");
  ASSERT_EQ(0, myfs_setxattr(task_, "f", "user.a", "1", 1, 0, 0));
  EXPECT_TRUE(before(old.st_ctim, stat("f").st_ctim));
  EXPECT_TRUE(same(old.st_mtim, stat("f").st_mtim));
}

TEST_F(Xattr, OfALinkAndOfItsTarget) {
  make_file("f");
  ASSERT_EQ(0, myfs_symlink(task_, "f", "l"));
  ASSERT_EQ(0, myfs_setxattr(task_, "l", "user.a", "1", 1, 0, 0));
  char value[4];
  EXPECT_EQ(1, myfs_getxattr(task_, "f", "user.a", value, sizeof value, 0));
  EXPECT_EQ(-EPERM, myfs_setxattr(task_, "l", "user.a", "1", 1, 0, 1));
  EXPECT_EQ(-ENODATA, myfs_getxattr(task_, "l", "user.a", value, sizeof value, 1));
}

}  // namespace
}  // namespace myfs::test
