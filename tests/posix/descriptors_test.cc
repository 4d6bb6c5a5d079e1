// Descriptors: duplicates, marks, places without I/O, files without names, polling.

#include <poll.h>

#include <string>
#include <thread>
#include <utility>

#include "tests/posix/api_test.h"

namespace myfs::test {
namespace {

class Descriptors : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    make_file("f");
    fd_ = open("f", O_RDWR);
  }
  int fcntl(int fd, int cmd, int64_t arg = 0) { return myfs_fcntl(task_, fd, cmd, arg); }
  bool is_open(int fd) {
    struct stat st;
    return myfs_fstat(task_, fd, &st) == 0;
  }
  int fd_ = -1;
};

TEST_F(Descriptors, dup3_EBADF) {
  EXPECT_EQ(-EBADF, myfs_dup3(task_, 77, 5, 0));
  EXPECT_EQ(-EBADF, myfs_dup3(task_, fd_, 65536, 0));
  EXPECT_EQ(-EBADF, myfs_dup3(task_, fd_, -1, 0));
}
TEST_F(Descriptors, dup3_EINVAL) {
  EXPECT_EQ(-EINVAL, myfs_dup3(task_, fd_, fd_, 0));
  EXPECT_EQ(-EINVAL, myfs_dup3(task_, 77, 77, 0));
  EXPECT_EQ(-EINVAL, myfs_dup3(task_, fd_, 5, O_APPEND));
}
TEST_F(Descriptors, dup3_marks_the_copy_alone) {
  EXPECT_EQ(9, myfs_dup3(task_, fd_, 9, O_CLOEXEC));
  EXPECT_EQ(FD_CLOEXEC, fcntl(9, F_GETFD));
  EXPECT_EQ(0, fcntl(fd_, F_GETFD));
  EXPECT_EQ(9, myfs_dup2(task_, 9, 9));
  EXPECT_EQ(FD_CLOEXEC, fcntl(9, F_GETFD));
  EXPECT_EQ(9, myfs_dup2(task_, fd_, 9));
  EXPECT_EQ(0, fcntl(9, F_GETFD));
  ASSERT_EQ(3, myfs_lseek(task_, 9, 3, SEEK_SET));
  EXPECT_EQ("tent", read(fd_, 10));
}

TEST_F(Descriptors, fcntl_EBADF) {
  EXPECT_EQ(-EBADF, fcntl(77, F_GETFD));
  EXPECT_EQ(-EBADF, fcntl(77, F_DUPFD));
  EXPECT_EQ(-EBADF, fcntl(77, 4711));
  int place = open("f", O_PATH);
  EXPECT_EQ(-EBADF, fcntl(place, F_SETFL, O_APPEND));
  EXPECT_EQ(-EBADF, fcntl(place, 4711));
  EXPECT_EQ(O_PATH, fcntl(place, F_GETFL));
  EXPECT_EQ(0, fcntl(place, F_SETFD, FD_CLOEXEC));
  EXPECT_GE(fcntl(place, F_DUPFD), 0);
}
TEST_F(Descriptors, fcntl_EINVAL) {
  EXPECT_EQ(-EINVAL, fcntl(fd_, 4711));
  EXPECT_EQ(-EINVAL, fcntl(fd_, F_DUPFD, -1));
  EXPECT_EQ(-EINVAL, fcntl(fd_, F_DUPFD, 65536));
}
TEST_F(Descriptors, fcntl_EMFILE) {
  EXPECT_EQ(65535, fcntl(fd_, F_DUPFD, 65535));
  EXPECT_EQ(-EMFILE, fcntl(fd_, F_DUPFD, 65535));
}
TEST_F(Descriptors, fcntl_EPERM_open_EPERM) {
  if (::geteuid() != 0) return;
  ASSERT_EQ(0, myfs_chmod(task_, "f", 0666));
  ASSERT_EQ(0, myfs_chmod(task_, ".", 0777));
  const int flags = O_RDWR | O_NOATIME;
  EXPECT_EQ(-EPERM, myfs_open_x(task_, user(), "f", flags, 0));
  EXPECT_EQ(-EPERM, myfs_open_x(task_, user(), "f", flags | O_CREAT | O_TRUNC, 0644));
  EXPECT_EQ("content", content("f"));
  EXPECT_GE(myfs_open_x(task_, user(), "own", flags | O_CREAT | O_TRUNC, 0644), 0);
  EXPECT_GE(myfs_open_x(task_, user(), "own", flags | O_CREAT | O_TRUNC, 0644), 0);
  EXPECT_EQ(-EEXIST, myfs_open_x(task_, user(), "own", flags | O_CREAT | O_EXCL, 0644));
  myfs_task* other = nullptr;
  ASSERT_EQ(0, myfs_task_create(user()->cred, &other));
  ASSERT_EQ(0, myfs_mount(other, server_->url().c_str(), "/", nullptr));
  int fd = myfs_open(other, (home() + "/f").c_str(), O_RDWR, 0);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(-EPERM, myfs_fcntl(other, fd, F_SETFL, O_NOATIME));
  EXPECT_EQ(0, myfs_fcntl(other, fd, F_SETFL, O_APPEND));
  fd = myfs_open(other, (home() + "/f").c_str(), O_RDWR | O_NOATIME, 0);
  EXPECT_EQ(-EPERM, fd);
  EXPECT_EQ(0, myfs_task_destroy(other));
}
TEST_F(Descriptors, fcntl_duplicates_and_keeps_flags) {
  EXPECT_EQ(100, fcntl(fd_, F_DUPFD, 100));
  EXPECT_EQ(101, fcntl(fd_, F_DUPFD_CLOEXEC, 100));
  EXPECT_EQ(0, fcntl(100, F_GETFD));
  EXPECT_EQ(FD_CLOEXEC, fcntl(101, F_GETFD));
  EXPECT_EQ(0, fcntl(101, F_SETFD, 0));
  EXPECT_EQ(0, fcntl(101, F_GETFD));
  int marked = open("g", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC);
  EXPECT_EQ(FD_CLOEXEC, fcntl(marked, F_GETFD));
  EXPECT_EQ(O_RDWR, fcntl(marked, F_GETFL));
  // A number that is used again has no mark of its past.
  close(marked);
  ASSERT_EQ(marked, open("g", O_RDONLY));
  EXPECT_EQ(0, fcntl(marked, F_GETFD));
  EXPECT_EQ(0, fcntl(marked, F_SETFD, FD_CLOEXEC));
  close(marked);
  ASSERT_EQ(marked, open("g"));
  EXPECT_EQ(0, fcntl(marked, F_GETFD));
  EXPECT_EQ(0, fcntl(marked, F_SETFL, O_APPEND | O_WRONLY | O_CREAT));
  EXPECT_EQ(O_RDWR | O_APPEND, fcntl(marked, F_GETFL));
}

TEST_F(Descriptors, close_range_EINVAL) {
  EXPECT_EQ(-EINVAL, myfs_close_range(task_, 5, 4, 0));
  EXPECT_EQ(-EINVAL, myfs_close_range(task_, 4, 5, 8));
}
TEST_F(Descriptors, close_range_closes_or_marks) {
  for (int to = 10; to < 20; ++to) ASSERT_EQ(to, myfs_dup2(task_, fd_, to));
  EXPECT_EQ(0, myfs_close_range(task_, 15, ~0u, 4));
  EXPECT_EQ(0, fcntl(14, F_GETFD));
  EXPECT_EQ(FD_CLOEXEC, fcntl(15, F_GETFD));
  EXPECT_EQ(FD_CLOEXEC, fcntl(19, F_GETFD));
  EXPECT_EQ(0, myfs_close_range(task_, 12, 17, 2));
  EXPECT_TRUE(is_open(11));
  EXPECT_FALSE(is_open(12));
  EXPECT_FALSE(is_open(17));
  EXPECT_TRUE(is_open(18));
}

TEST_F(Descriptors, poll_EINVAL) {
  pollfd one{fd_, POLLIN, 0};
  EXPECT_EQ(-EINVAL, myfs_poll(task_, &one, 65537, 0));
  EXPECT_EQ(-EINVAL, myfs_poll(task_, nullptr, 1, 0));
}
TEST_F(Descriptors, poll_finds_files_ready) {
  pollfd fds[] = {{fd_, POLLIN | POLLOUT | POLLPRI, 0},
                  {open(".", O_RDONLY), POLLIN, 0},
                  {77, POLLIN, 0},
                  {-1, POLLIN, 9},
                  {open("f", O_PATH), POLLIN, 0},
                  {fd_, 0, 0}};
  EXPECT_EQ(4, myfs_poll(task_, fds, 6, -1));
  EXPECT_EQ(POLLIN | POLLOUT, fds[0].revents);
  EXPECT_EQ(POLLIN, fds[1].revents);
  EXPECT_EQ(POLLNVAL, fds[2].revents);
  EXPECT_EQ(0, fds[3].revents);
  EXPECT_EQ(POLLNVAL, fds[4].revents);
  EXPECT_EQ(0, fds[5].revents);
  EXPECT_EQ(0, myfs_poll(task_, fds + 5, 1, 0));
  EXPECT_EQ(0, myfs_poll(task_, fds + 5, 1, 1));
  EXPECT_EQ(0, myfs_poll(task_, nullptr, 0, 0));
}
TEST_F(Descriptors, poll_that_waits_for_nothing_can_be_cancelled) {
  myfs_cancel* cancel = myfs_cancel_create();
  myfs_call call{sizeof call, nullptr, 0, cancel};
  pollfd one{fd_, 0, 0};
  std::thread waiter([&] { EXPECT_EQ(-ECANCELED, myfs_poll_x(task_, &call, &one, 1, -1)); });
  myfs_cancel_fire(cancel);
  waiter.join();
  myfs_cancel_destroy(cancel);
  call = {sizeof call, nullptr, 1, nullptr};
  EXPECT_EQ(-ETIMEDOUT, myfs_poll_x(task_, &call, &one, 1, -1));
}

TEST_F(Descriptors, O_PATH_names_a_place_and_does_no_io) {
  ASSERT_EQ(0, myfs_chmod(task_, "f", 0));
  int place = myfs_open_x(task_, user(), "f", O_PATH, 0);
  ASSERT_GE(place, 0) << last_message();
  char byte = 0;
  struct stat st;
  struct statfs sfs;
  EXPECT_EQ(0, myfs_fstat(task_, place, &st));
  EXPECT_EQ(0, myfs_fstatfs(task_, place, &sfs));
  EXPECT_EQ(-EBADF, myfs_read(task_, place, &byte, 1));
  EXPECT_EQ(-EBADF, myfs_pread(task_, place, &byte, 1, 0));
  EXPECT_EQ(-EBADF, myfs_write(task_, place, &byte, 1));
  EXPECT_EQ(-EBADF, myfs_lseek(task_, place, 0, SEEK_SET));
  EXPECT_EQ(-EBADF, myfs_ftruncate(task_, place, 0));
  EXPECT_EQ(-EBADF, myfs_fchmod(task_, place, 0600));
  EXPECT_EQ(-EBADF, myfs_fchown(task_, place, 0, 0));
  EXPECT_EQ(-EBADF, myfs_futimens(task_, place, nullptr));
  EXPECT_EQ(-EBADF, myfs_fsync(task_, place));
  EXPECT_EQ(-EBADF, myfs_syncfs(task_, place));
  EXPECT_EQ(-EBADF, myfs_fallocate(task_, place, 0, 0, 1));
  EXPECT_EQ(-EBADF, myfs_posix_fadvise(task_, place, 0, 0, POSIX_FADV_NORMAL));
  EXPECT_EQ(-EBADF, myfs_fgetxattr(task_, place, "user.a", &byte, 1));
  EXPECT_EQ(-ENOTDIR, myfs_fchdir(task_, place));
  make_dir("d");
  int dir = open("d", O_PATH);
  EXPECT_EQ(0, myfs_fchdir(task_, dir));
  close(place);
}

// What another client removes lives on for who names it by O_PATH, as within one kernel.
class RemovedPlace : public Descriptors {
 protected:
  void SetUp() override {
    Descriptors::SetUp();
    ASSERT_EQ(0, myfs_open_url(server_->url().c_str(), nullptr, &other_)) << last_message();
    ASSERT_EQ(0, myfs_chdir(other_, home().c_str()));
  }
  void TearDown() override {
    if (other_ != nullptr) end_other();
    Descriptors::TearDown();
  }
  // With him go his leases, which keep it, too.
  void end_other() {
    EXPECT_EQ(0, myfs_task_destroy(std::exchange(other_, nullptr))) << last_message();
  }
  // Names what the other client has made as `path`, which he removes then.
  int open_and_remove(const char* path, int at_flags = 0) {
    const int place = open(path, O_PATH | O_NOFOLLOW);
    EXPECT_EQ(0, myfs_unlinkat(other_, AT_FDCWD, path, at_flags)) << last_message();
    struct stat st {};
    EXPECT_EQ(-ENOENT, myfs_lstat(task_, path, &st));
    return place;
  }
  mode_t type_without_a_name(int place) {
    struct stat st {};
    EXPECT_EQ(0, myfs_fstat(task_, place, &st)) << last_message();
    EXPECT_EQ(0u, st.st_nlink);
    return st.st_mode & S_IFMT;
  }
  myfs_task* other_ = nullptr;
};

TEST_F(RemovedPlace, of_a_symbolic_link) {
  ASSERT_EQ(0, myfs_symlink(other_, "target", "l"));
  const int place = open_and_remove("l");
  EXPECT_EQ(mode_t{S_IFLNK}, type_without_a_name(place));
  char target[16];
  EXPECT_EQ(6, myfs_readlinkat(task_, place, "", target, sizeof target));
}

TEST_F(RemovedPlace, of_a_fifo) {
  ASSERT_EQ(0, myfs_mknod(other_, "p", S_IFIFO | 0600, 0));
  EXPECT_EQ(mode_t{S_IFIFO}, type_without_a_name(open_and_remove("p")));
}

TEST_F(RemovedPlace, of_a_directory) {
  ASSERT_EQ(0, myfs_mkdir(other_, "d", 0700));
  EXPECT_EQ(mode_t{S_IFDIR}, type_without_a_name(open_and_remove("d", AT_REMOVEDIR)));
}

// Whoever writes it keeps others from every lease that would do.
TEST_F(RemovedPlace, of_a_file_that_is_being_written) {
  const int writer = myfs_open(other_, "w", O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(4, myfs_write(other_, writer, "text", 4));
  const int place = open_and_remove("w");
  EXPECT_EQ(0, myfs_close(other_, writer)) << last_message();
  end_other();
  EXPECT_EQ(mode_t{S_IFREG}, type_without_a_name(place));
}

// That it is gone comes before what is wrong with the request.
TEST_F(RemovedPlace, takes_no_names) {
  make_dir("old");
  const int old = open("old", O_PATH);
  ASSERT_EQ(0, myfs_mkdir(other_, "d", 0700));
  const int place = open("d", O_PATH);
  EXPECT_EQ(-EPERM, myfs_linkat(task_, old, "", place, "x", AT_EMPTY_PATH));
  ASSERT_EQ(0, myfs_rmdir(other_, "d"));
  EXPECT_EQ(-ENOENT, myfs_linkat(task_, old, "", place, "x", AT_EMPTY_PATH));
  EXPECT_EQ(-ENOENT, myfs_mkdirat(task_, place, "x", 0700));
}

// The first look at it was no open.
TEST_F(RemovedPlace, of_what_was_cached_before) {
  ASSERT_EQ(0, myfs_symlink(other_, "target", "l"));
  ASSERT_EQ(0, myfs_mknod(other_, "p", S_IFIFO | 0600, 0));
  struct stat st {};
  ASSERT_EQ(0, myfs_lstat(task_, "l", &st));
  ASSERT_EQ(0, myfs_lstat(task_, "p", &st));
  EXPECT_EQ(mode_t{S_IFLNK}, type_without_a_name(open_and_remove("l")));
  EXPECT_EQ(mode_t{S_IFIFO}, type_without_a_name(open_and_remove("p")));
}

class Tmpfile : public Descriptors {};

TEST_F(Tmpfile, open_EINVAL) {
  EXPECT_EQ(-EINVAL, myfs_open(task_, ".", O_TMPFILE | O_RDONLY, 0600));
  EXPECT_EQ(-EINVAL, myfs_open(task_, ".", O_TMPFILE | O_RDWR | O_CREAT, 0600));
  EXPECT_EQ(-EINVAL, myfs_open(task_, ".", (O_TMPFILE & ~O_DIRECTORY) | O_RDWR, 0600));
  EXPECT_EQ(-EINVAL, myfs_open(task_, "new", O_RDWR | O_CREAT | O_DIRECTORY, 0600));
}
TEST_F(Tmpfile, what_the_directory_allows) {
  EXPECT_EQ(-ENOTDIR, myfs_open(task_, "f", O_TMPFILE | O_RDWR, 0600));
  EXPECT_EQ(-ENOENT, myfs_open(task_, "missing", O_TMPFILE | O_RDWR, 0600));
  EXPECT_EQ(-EACCES, myfs_open_x(task_, user(), ".", O_TMPFILE | O_RDWR, 0600));
  myfs_task* reader = nullptr;
  ASSERT_EQ(0, myfs_open_url((server_->url() + "?ro").c_str(), nullptr, &reader));
  EXPECT_EQ(-EROFS, myfs_open(reader, home().c_str(), O_TMPFILE | O_RDWR, 0600));
  EXPECT_EQ(0, myfs_task_destroy(reader));
}
TEST_F(Tmpfile, has_no_name_until_it_is_given_one) {
  int fd = open(".", O_TMPFILE | O_RDWR, 0640);
  struct stat st;
  ASSERT_EQ(0, myfs_fstat(task_, fd, &st));
  EXPECT_EQ(0u, st.st_nlink);
  EXPECT_EQ(static_cast<mode_t>(S_IFREG | 0640), st.st_mode);
  write(fd, "written before");
  EXPECT_EQ("written", pread(fd, 7, 0));
  myfs_dir* dir = nullptr;
  ASSERT_EQ(0, myfs_opendir(task_, ".", &dir));
  myfs_dirent entry;
  int names = 0;
  while (myfs_readdir(dir, &entry) == 1) ++names;
  EXPECT_EQ(3, names);
  EXPECT_EQ(0, myfs_closedir(dir));
  ASSERT_EQ(0, myfs_linkat(task_, fd, "", AT_FDCWD, "named", AT_EMPTY_PATH)) << last_message();
  ASSERT_EQ(0, myfs_fstat(task_, fd, &st));
  EXPECT_EQ(1u, st.st_nlink);
  close(fd);
  EXPECT_EQ("written before", content("named"));
  EXPECT_EQ(0640u, mode("named"));
}
TEST_F(Tmpfile, O_EXCL_keeps_it_without_a_name) {
  int fd = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600);
  EXPECT_EQ(-ENOENT, myfs_linkat(task_, fd, "", AT_FDCWD, "named", AT_EMPTY_PATH));
  write(fd, "x");
  EXPECT_EQ("x", pread(fd, 7, 0));
  close(fd);
  // One that had a name and lost it gets none either.
  fd = open(".", O_TMPFILE | O_RDWR, 0600);
  ASSERT_EQ(0, myfs_linkat(task_, fd, "", AT_FDCWD, "named", AT_EMPTY_PATH));
  ASSERT_EQ(0, myfs_unlink(task_, "named"));
  EXPECT_EQ(-ENOENT, myfs_linkat(task_, fd, "", AT_FDCWD, "again", AT_EMPTY_PATH));
}
TEST_F(Tmpfile, mode_bits_do_not_bind_its_maker_and_the_umask_does) {
  myfs_umask(task_, 027);
  int fd = open(".", O_TMPFILE | O_RDWR, 0666);
  struct stat st;
  ASSERT_EQ(0, myfs_fstat(task_, fd, &st));
  EXPECT_EQ(0640u, st.st_mode & 07777);
  ASSERT_EQ(0, myfs_chmod(task_, ".", 0777));
  fd = myfs_open_x(task_, user(), ".", O_TMPFILE | O_RDWR, 0);
  ASSERT_GE(fd, 0) << last_message();
  EXPECT_EQ(1, myfs_write_x(task_, user(), fd, "x", 1));
  EXPECT_EQ("x", pread(fd, 2, 0));
}

}  // namespace
}  // namespace myfs::test
