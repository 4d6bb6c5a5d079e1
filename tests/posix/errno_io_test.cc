// The errnos of calls on open files.

#include <sys/mount.h>

#include <thread>
#include <vector>

#include "tests/posix/api_test.h"

namespace myfs::test {
namespace {

constexpr off_t kSizeMax = (off_t{1} << 54) - 1;
constexpr int kDescriptors = 65536;

using Io = ApiTest;

TEST_F(Io, open_EEXIST) {
  make_file("f");
  make_dir("d");
  EXPECT_EQ(-EEXIST, myfs_open(task_, "f", O_RDWR | O_CREAT | O_EXCL, 0644));
  EXPECT_EQ(-EEXIST, myfs_open(task_, "d", O_RDONLY | O_CREAT | O_EXCL, 0644));
  ASSERT_EQ(0, myfs_symlink(task_, "nowhere", "l"));
  EXPECT_EQ(-EEXIST, myfs_open(task_, "l", O_RDWR | O_CREAT | O_EXCL, 0644));
  close(open("new", O_RDWR | O_CREAT | O_EXCL));
}

TEST_F(Io, open_EISDIR) {
  make_dir("d");
  EXPECT_EQ(-EISDIR, myfs_open(task_, "d", O_WRONLY, 0));
  EXPECT_EQ(-EISDIR, myfs_open(task_, "d", O_RDWR, 0));
  EXPECT_EQ(-EISDIR, myfs_open(task_, "d", O_RDONLY | O_CREAT, 0644));
  EXPECT_EQ(-EISDIR, myfs_open(task_, "new/", O_WRONLY | O_CREAT, 0644));
  EXPECT_EQ(-EISDIR, myfs_creat(task_, "d", 0644));
  close(open("d", O_RDONLY));
}

TEST_F(Io, open_ENXIO) {
  ASSERT_EQ(0, myfs_mknod(task_, "fifo", S_IFIFO | 0644, 0));
  ASSERT_EQ(0, myfs_mknod(task_, "socket", S_IFSOCK | 0644, 0));
  EXPECT_EQ(-ENXIO, myfs_open(task_, "fifo", O_WRONLY | O_NONBLOCK, 0));
  EXPECT_EQ(-ENXIO, myfs_open(task_, "socket", O_RDONLY, 0));
  Client other(server_->url());
  EXPECT_EQ(-ENXIO, other.open(home() + "/socket", O_RDONLY | O_CREAT));
}

TEST_F(Io, open_ENXIO_OfAFifoToRead) {
  ASSERT_EQ(0, myfs_mknod(task_, "fifo", S_IFIFO | 0644, 0));
  EXPECT_EQ(-ENXIO, myfs_open(task_, "fifo", O_RDONLY, 0));
}

// The table is filled by one test: 65 536 opens of one file, which its lease makes local.
TEST_F(Io, open_EMFILE_opendir_EMFILE_dup_EMFILE) {
  make_file("f");
  for (int i = 0; i < kDescriptors; ++i) ASSERT_EQ(i, myfs_open(task_, "f", O_RDONLY, 0));
  EXPECT_EQ(-EMFILE, myfs_open(task_, "f", O_RDONLY, 0));
  EXPECT_EQ(-EMFILE, myfs_open(task_, "new", O_RDWR | O_CREAT, 0644));
  struct stat st;
  EXPECT_EQ(-ENOENT, myfs_stat(task_, "new", &st));
  myfs_dir* dir = nullptr;
  EXPECT_EQ(-EMFILE, myfs_opendir(task_, ".", &dir));
  EXPECT_EQ(-EMFILE, myfs_dup(task_, 7));
  EXPECT_EQ(9, myfs_dup2(task_, 7, 9));
  ASSERT_EQ(0, myfs_close(task_, 4242));
  EXPECT_EQ(4242, myfs_open(task_, "f", O_RDONLY, 0));
}

TEST_F(Io, dup_EBADF) {
  int fd = open("f");
  EXPECT_EQ(-EBADF, myfs_dup(task_, 77));
  EXPECT_EQ(-EBADF, myfs_dup2(task_, 77, 5));
  EXPECT_EQ(-EBADF, myfs_dup2(task_, fd, -1));
}

TEST_F(Io, dup_EBADF_BehindTheTable) {
  int fd = open("f");
  EXPECT_EQ(-EBADF, myfs_dup2(task_, fd, kDescriptors));
  EXPECT_EQ(kDescriptors - 1, myfs_dup2(task_, fd, kDescriptors - 1));
}

TEST_F(Io, read_EBADF) {
  char byte;
  iovec iov{&byte, 1};
  make_file("f");
  int fd = open("f", O_WRONLY);
  EXPECT_EQ(-EBADF, myfs_read(task_, fd, &byte, 1));
  EXPECT_EQ(-EBADF, myfs_pread(task_, fd, &byte, 1, 0));
  EXPECT_EQ(-EBADF, myfs_readv(task_, fd, &iov, 1));
  EXPECT_EQ(-EBADF, myfs_preadv(task_, fd, &iov, 1, 0));
}

TEST_F(Io, read_EINVAL) {
  char byte;
  std::vector<iovec> iov(1025, iovec{&byte, 1});
  make_file("f");
  int fd = open("f", O_RDONLY);
  EXPECT_EQ(-EINVAL, myfs_pread(task_, fd, &byte, 1, -1));
  EXPECT_EQ(-EINVAL, myfs_preadv(task_, fd, iov.data(), 1, -1));
  EXPECT_EQ(-EINVAL, myfs_pread(task_, fd, &byte, 1, INT64_MAX));
  EXPECT_EQ(-EINVAL, myfs_preadv(task_, fd, iov.data(), 2, INT64_MAX - 1));
  EXPECT_EQ(0, myfs_preadv(task_, fd, iov.data(), 1, INT64_MAX - 1));
  EXPECT_EQ(-EINVAL, myfs_readv(task_, fd, iov.data(), 1025));
  EXPECT_EQ(-EINVAL, myfs_readv(task_, fd, iov.data(), -1));
  EXPECT_EQ(-EINVAL, myfs_readv(task_, fd, nullptr, 1));
  EXPECT_EQ(-EINVAL, myfs_read(task_, fd, nullptr, 1));
  EXPECT_EQ(0, myfs_readv(task_, fd, nullptr, 0));
  EXPECT_EQ(7, myfs_readv(task_, fd, iov.data(), 1024));
}

TEST_F(Io, read_EISDIR) {
  char byte;
  int fd = open(".", O_RDONLY);
  EXPECT_EQ(-EISDIR, myfs_read(task_, fd, &byte, 1));
  EXPECT_EQ(-EISDIR, myfs_pread(task_, fd, &byte, 1, 0));
}

TEST_F(Io, write_EBADF) {
  make_file("f");
  iovec iov{const_cast<char*>("x"), 1};
  int fd = open("f", O_RDONLY);
  EXPECT_EQ(-EBADF, myfs_write(task_, fd, "x", 1));
  EXPECT_EQ(-EBADF, myfs_pwrite(task_, fd, "x", 1, 0));
  EXPECT_EQ(-EBADF, myfs_writev(task_, fd, &iov, 1));
  EXPECT_EQ(-EBADF, myfs_pwritev(task_, fd, &iov, 1, 0));
  EXPECT_EQ(-EBADF, myfs_write(task_, open(".", O_RDONLY), "x", 1));
  EXPECT_EQ("content", content("f"));
}

TEST_F(Io, write_EINVAL) {
  std::vector<iovec> iov(1025, iovec{const_cast<char*>("x"), 1});
  int fd = open("f");
  EXPECT_EQ(-EINVAL, myfs_pwrite(task_, fd, "x", 1, -1));
  EXPECT_EQ(-EINVAL, myfs_pwritev(task_, fd, iov.data(), 1, -1));
  EXPECT_EQ(-EINVAL, myfs_pwrite(task_, fd, "x", 1, INT64_MAX));
  EXPECT_EQ(-EINVAL, myfs_pwritev(task_, fd, iov.data(), 2, INT64_MAX - 1));
  EXPECT_EQ(-EINVAL, myfs_writev(task_, fd, iov.data(), 1025));
  EXPECT_EQ(-EINVAL, myfs_writev(task_, fd, iov.data(), -1));
  EXPECT_EQ(-EINVAL, myfs_write(task_, fd, nullptr, 1));
  EXPECT_EQ(0, myfs_write(task_, fd, nullptr, 0));
  EXPECT_EQ(1024, myfs_writev(task_, fd, iov.data(), 1024));
}

TEST_F(Io, write_EFBIG) {
  int fd = open("f");
  EXPECT_EQ(-EFBIG, myfs_pwrite(task_, fd, "x", 1, kSizeMax));
  EXPECT_EQ(-EFBIG, myfs_pwrite(task_, fd, "x", 1, INT64_MAX - 1));
  EXPECT_EQ(0, stat("f").st_size);
  // What fits is written; the next byte does not.
  EXPECT_EQ(3, myfs_pwrite(task_, fd, "abcde", 5, kSizeMax - 3));
  EXPECT_EQ(kSizeMax, stat("f").st_size);
  EXPECT_EQ("abc", pread(fd, 10, kSizeMax - 3));
  EXPECT_EQ("", pread(fd, 10, kSizeMax));
  EXPECT_EQ("", pread(fd, 10, INT64_MAX - 10));
  int appender = open("f", O_WRONLY | O_APPEND);
  EXPECT_EQ(-EFBIG, myfs_write(task_, appender, "x", 1));
  close(appender);
  close(fd);
  EXPECT_EQ(kSizeMax, stat("f").st_size);
}

TEST_F(Io, lseek_EINVAL) {
  int fd = open("f");
  EXPECT_EQ(-EINVAL, myfs_lseek(task_, fd, -1, SEEK_SET));
  EXPECT_EQ(-EINVAL, myfs_lseek(task_, fd, 0, 77));
  EXPECT_EQ(5, myfs_lseek(task_, fd, 5, SEEK_SET));
  EXPECT_EQ(-EINVAL, myfs_lseek(task_, fd, -6, SEEK_CUR));
  EXPECT_EQ(5, myfs_lseek(task_, fd, 0, SEEK_CUR));
}

TEST_F(Io, truncate_EINVAL) {
  make_file("f");
  ASSERT_EQ(0, myfs_mknod(task_, "fifo", S_IFIFO | 0644, 0));
  EXPECT_EQ(-EINVAL, myfs_truncate(task_, "f", -1));
  EXPECT_EQ(-EINVAL, myfs_truncate(task_, "fifo", 0));
  EXPECT_EQ(-EINVAL, myfs_ftruncate(task_, open("f", O_RDONLY), 0));
  EXPECT_EQ(-EINVAL, myfs_ftruncate(task_, open(".", O_RDONLY), 0));
  EXPECT_EQ(-EINVAL, myfs_ftruncate(task_, open("f", O_RDWR), -1));
  EXPECT_EQ(7, stat("f").st_size);
}

TEST_F(Io, truncate_EFBIG) {
  int fd = open("f");
  EXPECT_EQ(-EFBIG, myfs_truncate(task_, "f", kSizeMax + 1));
  EXPECT_EQ(-EFBIG, myfs_ftruncate(task_, fd, INT64_MAX));
  EXPECT_EQ(0, myfs_ftruncate(task_, fd, kSizeMax));
  EXPECT_EQ(kSizeMax, stat("f").st_size);
  EXPECT_EQ(0, myfs_truncate(task_, "f", 1));
  EXPECT_EQ(std::string(1, '\0'), content("f"));
}

TEST_F(Io, truncate_EISDIR) {
  make_dir("d");
  EXPECT_EQ(-EISDIR, myfs_truncate(task_, "d", 0));
}

// A forced unmount takes the file system away from under an open file and from a call that waits.
TEST_F(Io, call_ENOTCONN) {
  make_dir("m");
  ASSERT_EQ(0, myfs_mount(task_, server_->url().c_str(), "m", nullptr)) << last_message();
  int fd = open("m/call_ENOTCONN-file");
  ASSERT_EQ(-EBUSY, myfs_umount(task_, "m", 0));
  server_->send_signal(SIGSTOP);
  std::thread waiter([&] {
    struct stat st;
    EXPECT_EQ(-ENOTCONN, myfs_stat(task_, "m/never/asked", &st));
  });
  myfs_stats stats{};
  stats.size = sizeof stats;
  while (myfs_get_stats(task_, &stats) == 0 && stats.active_calls == 0) std::this_thread::yield();
  EXPECT_EQ(0, myfs_umount(task_, "m", MNT_FORCE)) << last_message();
  waiter.join();
  server_->send_signal(SIGCONT);
  char byte;
  EXPECT_EQ(-ENOTCONN, myfs_pread(task_, fd, &byte, 1, 0));
  EXPECT_EQ(-ENOTCONN, myfs_pwrite(task_, fd, "x", 1, 0));
  // The descriptor is free in every case.
  myfs_close(task_, fd);
  EXPECT_EQ(-EBADF, myfs_close(task_, fd));
}

// Suites of their own: each test kills the server, so that what was written and not made durable
// is lost, and somebody must be told exactly once.
using Lost = ApiTest;

TEST_F(Lost, fsync_EIO) {
  int fd = open("f");
  write(fd, "kept");
  ASSERT_EQ(0, myfs_fsync(task_, fd));
  write(fd, "lost");
  restart_server();
  EXPECT_EQ(-EIO, myfs_fsync(task_, fd));
  EXPECT_EQ(0, myfs_fsync(task_, fd)) << "reported twice: " << last_message();
  close(fd);
  EXPECT_EQ("kept", content("f"));
}

TEST_F(Lost, close_EIO) {
  int fd = open("f");
  write(fd, "lost");
  restart_server();
  EXPECT_EQ(-EIO, myfs_close(task_, fd));
  EXPECT_EQ(-EBADF, myfs_close(task_, fd));
}

TEST_F(Lost, call_EIO) {
  int fd = open("f");
  write(fd, "lost");
  restart_server();
  EXPECT_EQ(-EIO, myfs_sync(task_));
  myfs_close(task_, fd);
  EXPECT_EQ(0, myfs_sync(task_));
  // The task goes on in a new session.
  make_file("g");
  EXPECT_EQ("content", content("g"));
}

TEST_F(Lost, task_destroy_EIO) {
  int fd = open("f");
  write(fd, "lost");
  restart_server();
  EXPECT_EQ(-EIO, myfs_task_destroy(task_));
  task_ = nullptr;
}

// A synchronous write that waits for a server which dies meanwhile.
TEST_F(Lost, write_EIO) {
  int fd = open("f", O_WRONLY | O_CREAT | O_SYNC);
  write(fd, "kept");
  server_->send_signal(SIGSTOP);
  std::thread writer([&] { EXPECT_EQ(-EIO, myfs_write(task_, fd, "lost", 4)); });
  myfs_stats stats{};
  stats.size = sizeof stats;
  while (myfs_get_stats(task_, &stats) == 0 && stats.active_calls == 0) std::this_thread::yield();
  restart_server();
  writer.join();
  myfs_close(task_, fd);
  EXPECT_EQ("kept", content("f"));
}

// Everybody who has the file open is told, each once.
TEST_F(Lost, fsync_EIO_OfEachOpenFile) {
  int one = open("f"), two = open("f"), other = open("g");
  write(one, "lost");
  write(other, "written back");
  ASSERT_EQ(0, myfs_fsync(task_, other));
  restart_server();
  EXPECT_EQ(-EIO, myfs_fsync(task_, one));
  EXPECT_EQ(-EIO, myfs_fsync(task_, two));
  EXPECT_EQ(0, myfs_fsync(task_, other)) << last_message();
  EXPECT_EQ(0, myfs_fsync(task_, one));
  EXPECT_EQ(0, myfs_fsync(task_, two));
  for (int fd : {one, two, other}) close(fd);
}

}  // namespace
}  // namespace myfs::test
