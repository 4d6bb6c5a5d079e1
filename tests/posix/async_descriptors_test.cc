// Asynchronous calls on descriptors that are closed, or name another file, before a worker gets to
// them: they mean what the descriptor named when they were submitted.

#include <sys/file.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/uio.h>

#include <list>
#include <optional>

#include "tests/posix/async_test.h"

namespace myfs::test {
namespace {

class AsyncDescriptors : public AsyncTest {
 protected:
  // A queue whose only worker waits for a lock that another client has, until let_go().
  void SetUp() override {
    AsyncTest::SetUp();
    make_file("busy", "");
    make_file("a", "aaaaaaaa");
    make_file("b", "bbbbbbbb");
    use_queue(MYFS_ASYNC_SERVICE, 1);
    other_.emplace(server_->url());
    theirs_ = other_->open(home() + "/busy", O_RDWR);
    ASSERT_EQ(0, myfs_flock(*other_, theirs_, LOCK_EX));
    busy_ = open("busy", O_RDWR);
    myfs_op op = waits_.op();
    ASSERT_EQ(0, myfs_async_flock(queue_, &op, busy_, LOCK_EX));
  }
  void TearDown() override {
    close(busy_);
    other_.reset();
    AsyncTest::TearDown();
  }
  void let_go() {
    ASSERT_EQ(0, myfs_flock(*other_, theirs_, LOCK_UN));
    EXPECT_EQ(0, wait_for(waits_));
  }
  // A new operation that is still to come to `result`.
  myfs_op* expect(int64_t result, const char* name) {
    Pending& pending = pending_.emplace_back();
    pending.expected = result;
    pending.name = name;
    pending.op = pending.told.op();
    return &pending.op;
  }
  void check_all() {
    for (Pending& pending : pending_) {
      EXPECT_EQ(pending.expected, wait_for(pending.told)) << pending.name;
    }
  }

  struct Pending {
    Told told;
    myfs_op op{};
    int64_t expected = 0;
    const char* name = nullptr;
  };
  std::list<Pending> pending_;
  std::optional<Client> other_;
  int theirs_ = -1, busy_ = -1;
  Told waits_;
};

// One line a call: what it comes to, and the call.
#define SUBMIT(result, name, ...) \
  EXPECT_EQ(0, myfs_async_##name(queue_, expect(result, #name), __VA_ARGS__))

TEST_F(AsyncDescriptors, ReadsAreOfTheFileThatWasNamed) {
  constexpr size_t kBlock = 4096;
  make_file("x", std::string(4 * kBlock, 'x'));
  make_file("y", std::string(4 * kBlock, 'y'));
  const int fd = open("x", O_RDONLY | O_DIRECT);  // nothing of it is over at once
  alignas(kBlock) static char to[5][kBlock];
  std::vector<iovec> iov;
  for (char* buffer : to) iov.push_back({buffer, kBlock});
  SUBMIT(kBlock, pread, fd, to[0], kBlock, 0);
  SUBMIT(kBlock, preadv, fd, &iov[1], 1, kBlock);
  SUBMIT(kBlock, preadv2, fd, &iov[2], 1, 0, 0);
  SUBMIT(kBlock, read, fd, to[3], kBlock);
  SUBMIT(kBlock, readv, fd, &iov[4], 1);
  close(fd);
  ASSERT_EQ(fd, open("y", O_RDONLY));  // the number is another file's now
  let_go();
  check_all();
  for (const char* buffer : to) EXPECT_EQ('x', buffer[0]);
  close(fd);
}

TEST_F(AsyncDescriptors, ChangesAreOfTheFileThatWasNamed) {
  const int fd = open("a", O_RDWR), out = open("out", O_RDWR | O_CREAT, 0600);
  char text[] = "12";
  iovec from{text, 2};
  SUBMIT(1, lseek, fd, 1, SEEK_SET);
  SUBMIT(2, write, fd, text, 2);
  SUBMIT(2, writev, fd, &from, 1);
  SUBMIT(2, pwrite, fd, text, 2, 6);
  SUBMIT(2, pwritev, fd, &from, 1, 8);
  SUBMIT(2, pwritev2, fd, &from, 1, 10, 0);
  off_t start = 0;
  SUBMIT(12, copy_file_range, fd, &start, out, nullptr, 100, 0);
  SUBMIT(0, clone_file, fd, out);
  SUBMIT(0, clone_file_range, fd, 0, out, 0, 0);
  SUBMIT(0, fallocate, fd, 0, 0, 14);
  SUBMIT(0, posix_fadvise, fd, 0, 0, POSIX_FADV_NORMAL);
  SUBMIT(0, sync_file_range, fd, 0, 0, 0);
  SUBMIT(0, fsync, fd);
  SUBMIT(0, fdatasync, fd);
  SUBMIT(0, syncfs, fd);
  SUBMIT(0, ftruncate, fd, 12);
  close(fd);
  close(out);
  ASSERT_EQ(fd, open("b", O_RDWR));
  ASSERT_EQ(out, open("b", O_RDWR));
  let_go();
  check_all();
  EXPECT_EQ("a1212a121212", content("a"));
  EXPECT_EQ("bbbbbbbb", content("b"));
  EXPECT_EQ(12, stat("out").st_size);
  close(fd);
  close(out);
}

TEST_F(AsyncDescriptors, AttributesAndLocksAreOfTheFileThatWasNamed) {
  const int fd = open("a", O_RDWR);
  struct statfs sfs;
  struct statvfs svfs;
  char value[8];
  const timespec times[2] = {{1, 0}, {3, 0}};
  pollfd ready{fd, POLLIN, 0};
  myfs_extent extent{};
  struct flock behind {};
  behind.l_type = F_WRLCK;
  behind.l_start = 100;
  struct flock of_owner {};
  of_owner.l_type = F_WRLCK;
  of_owner.l_len = 100;
  SUBMIT(0, fchmod, fd, 0640);
  SUBMIT(0, fchown, fd, static_cast<uid_t>(-1), static_cast<gid_t>(-1));
  SUBMIT(0, futimens, fd, times);
  SUBMIT(0, fstatfs, fd, &sfs);
  SUBMIT(0, fstatvfs, fd, &svfs);
  SUBMIT(0, fsetxattr, fd, "user.x", "v", 1, 0);
  SUBMIT(1, fgetxattr, fd, "user.x", value, sizeof value);
  SUBMIT(7, flistxattr, fd, nullptr, 0);
  SUBMIT(0, fremovexattr, fd, "user.x");
  SUBMIT(1, fiemap, fd, 0, 8, &extent, 1);
  SUBMIT(1, poll, &ready, 1, -1);
  SUBMIT(0, flock, fd, LOCK_EX | LOCK_NB);
  SUBMIT(0, lock, fd, F_OFD_SETLK, &behind);
  // Locks of the task go with the descriptor, as those of a process do.
  SUBMIT(-EBADF, lock, fd, F_SETLK, &of_owner);
  SUBMIT(-EBADF, lockf, fd, F_TLOCK, 100);
  SUBMIT(O_RDWR, fcntl, fd, F_GETFL, 0);
  SUBMIT(40, dup2, fd, 40);
  SUBMIT(41, dup3, fd, 41, 0);
  SUBMIT(42, fcntl, fd, F_DUPFD, 42);
  close(fd);
  ASSERT_EQ(fd, open("b", O_PATH));
  let_go();
  check_all();
  EXPECT_EQ(POLLIN, ready.revents);
  EXPECT_EQ(fd, ready.fd);
  EXPECT_EQ(0640u, mode("a"));
  EXPECT_EQ(3, stat("a").st_mtim.tv_sec);
  for (int copy = 40; copy <= 42; ++copy) {
    EXPECT_EQ("aaaaaaaa", pread(copy, 100, 0));
    close(copy);
  }
  close(fd);
}

TEST_F(AsyncDescriptors, NamesAreBelowTheDirectoryThatWasNamed) {
  make_dir("d");
  make_dir("e");
  make_file("d/f", "in d");
  const int dir = open("d", O_RDONLY | O_DIRECTORY);
  const timespec times[2] = {{1, 0}, {3, 0}};
  SUBMIT(0, mkdirat, dir, "s", 0755);
  SUBMIT(0, mknodat, dir, "fifo", S_IFIFO | 0600, 0);
  SUBMIT(0, symlinkat, "f", dir, "l");
  SUBMIT(0, linkat, dir, "f", dir, "g", 0);
  SUBMIT(0, renameat2, dir, "g", dir, "h", 0);
  SUBMIT(0, unlinkat, dir, "l", 0);
  SUBMIT(0, fchmodat, dir, "f", 0604, 0);
  SUBMIT(0, utimensat, dir, "f", times, 0);
  SUBMIT(0, fchdir, dir);
  close(dir);
  ASSERT_EQ(dir, open("e", O_RDONLY | O_DIRECTORY));
  let_go();
  check_all();
  char cwd[4096];
  ASSERT_GT(myfs_getcwd(task_, cwd, sizeof cwd), 0);
  EXPECT_EQ(home() + "/d", cwd);
  EXPECT_EQ("in d", content("h"));
  EXPECT_EQ(0604u, mode("f"));
  EXPECT_EQ(S_IFDIR | 0755u, stat("s").st_mode);
  close(dir);
  ASSERT_EQ(0, myfs_chdir(task_, home().c_str()));
}

TEST_F(AsyncDescriptors, AnotherFilesDescriptorIsNeitherClosedNorMarked) {
  const int fd = open("a", O_RDWR);
  SUBMIT(-EBADF, fcntl, fd, F_SETFD, FD_CLOEXEC);
  SUBMIT(-EBADF, fcntl, fd, F_GETFD, 0);
  SUBMIT(-EBADF, close, fd);
  close(fd);
  ASSERT_EQ(fd, open("b", O_RDONLY));
  let_go();
  check_all();
  EXPECT_EQ(0, myfs_fcntl(task_, fd, F_GETFD, 0));
  EXPECT_EQ("bbbbbbbb", pread(fd, 100, 0));
  close(fd);
}

TEST_F(AsyncDescriptors, WhatWasClosedAtTheSubmissionStaysSo) {
  const int fd = open("a", O_RDWR);
  close(fd);
  SUBMIT(-EBADF, pwrite, fd, "x", 1, 0);
  SUBMIT(-EBADF, close, fd);
  SUBMIT(-EBADF, dup2, fd, fd);
  SUBMIT(-EBADF, fsync, 65536);
  ASSERT_EQ(fd, open("b", O_RDWR));
  let_go();
  check_all();
  EXPECT_EQ("bbbbbbbb", content("b"));
  close(fd);
}

TEST_F(AsyncDescriptors, ADescriptorIsItsOwnCopy) {
  const int fd = open("a", O_RDWR);
  SUBMIT(fd, dup2, fd, fd);
  SUBMIT(-EINVAL, dup3, fd, fd, 0);
  SUBMIT(0, fcntl, fd, F_SETFD, FD_CLOEXEC);
  SUBMIT(0, close, fd);
  let_go();
  check_all();
  EXPECT_EQ(-EBADF, myfs_fsync(task_, fd));
}

}  // namespace
}  // namespace myfs::test
