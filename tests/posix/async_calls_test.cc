// The asynchronous forms of calls on descriptors, locks, attributes and relative to a directory:
// each is told once and means what the synchronous one does.

#include <linux/falloc.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <myfs/async.hpp>

#include "tests/posix/async_test.h"

namespace myfs::test {
namespace {

class AsyncCalls : public AsyncTest {
 protected:
  void SetUp() override {
    AsyncTest::SetUp();
    make_dir("d");
    make_file("d/f", "0123456789");
    dir_ = open("d", O_RDONLY | O_DIRECTORY);
    fd_ = open("d/f", O_RDWR);
  }
  // What it comes to.
  template <typename Submit>
  int64_t run(Submit submit) {
    Told told;
    myfs_op op = told.op();
    EXPECT_EQ(0, submit(&op));
    return wait_for(told);
  }

  int dir_ = -1, fd_ = -1;
};

// One line a call: RUN(mkdirat, dir_, "x", 0755).
#define RUN(name, ...) \
  run([&](const myfs_op* op) { return myfs_async_##name(queue_, op, __VA_ARGS__); })

TEST_F(AsyncCalls, NamesFromADirectoryOn) {
  EXPECT_EQ(0, RUN(mkdirat, dir_, "s", 0755));
  EXPECT_EQ(-EEXIST, RUN(mkdirat, dir_, "s", 0755));
  EXPECT_EQ(0, RUN(mknodat, dir_, "fifo", S_IFIFO | 0600, 0));
  EXPECT_EQ(0, RUN(symlinkat, "f", dir_, "l"));
  char target[8] = {};
  EXPECT_EQ(1, RUN(readlinkat, dir_, "l", target, sizeof target));
  EXPECT_STREQ("f", target);
  EXPECT_EQ(0, RUN(linkat, dir_, "f", dir_, "g", 0));
  EXPECT_EQ(0, RUN(renameat2, dir_, "g", dir_, "s/h", 0));
  EXPECT_EQ("0123456789", content("d/s/h"));
  EXPECT_EQ(0, RUN(unlinkat, dir_, "s/h", 0));
  EXPECT_EQ(0, RUN(unlinkat, dir_, "s", AT_REMOVEDIR));
  EXPECT_EQ(-ENOENT, RUN(unlinkat, dir_, "s", AT_REMOVEDIR));
  EXPECT_EQ(-EBADF, RUN(mkdirat, 99, "s", 0755));
  EXPECT_EQ(-EINVAL, RUN(mkdirat, dir_, nullptr, 0755));
}

TEST_F(AsyncCalls, OpensFromADirectoryOn) {
  const int64_t made = RUN(openat, dir_, "new", O_RDWR | O_CREAT, 0600);
  ASSERT_GE(made, 0);
  EXPECT_EQ(0600u, mode("d/new"));
  // Copied when it is submitted, with what a later version may have behind it.
  struct {
    myfs_open_how how;
    uint64_t more;
  } larger = {{sizeof larger, O_RDONLY, 0, 8}, 0};
  Told told;
  myfs_op op = told.op();
  ASSERT_EQ(0, myfs_async_openat2(queue_, &op, dir_, "f", &larger.how));
  larger.how.flags = ~uint64_t{0};
  EXPECT_GE(wait_for(told), 0);
  larger = {{sizeof larger, O_RDONLY, 0, 8}, 1};
  EXPECT_EQ(-E2BIG, RUN(openat2, dir_, "f", &larger.how));
  const myfs_open_how out{sizeof out, O_RDONLY, 0, 8};
  EXPECT_EQ(-EXDEV, RUN(openat2, dir_, "..", &out));
  EXPECT_EQ(-EINVAL, RUN(openat2, dir_, "f", nullptr));
  myfs_dir* stream = nullptr;
  EXPECT_EQ(0, RUN(opendirat, dir_, ".", &stream));
  ASSERT_NE(nullptr, stream);
  EXPECT_EQ(0, myfs_closedir(stream));
}

TEST_F(AsyncCalls, Attributes) {
  EXPECT_EQ(0, RUN(fchmodat, dir_, "f", 0640, 0));
  EXPECT_EQ(0640u, mode("d/f"));
  EXPECT_EQ(0, RUN(fchownat, dir_, "f", static_cast<uid_t>(-1), static_cast<gid_t>(-1), 0));
  timespec times[2] = {{1, 0}, {2, 0}};
  Told told;
  myfs_op op = told.op();
  ASSERT_EQ(0, myfs_async_utimensat(queue_, &op, dir_, "f", times, 0));
  times[1].tv_sec = 99;  // copied
  EXPECT_EQ(0, wait_for(told));
  EXPECT_EQ(2, stat("d/f").st_mtim.tv_sec);
  EXPECT_EQ(0, RUN(faccessat, dir_, "f", R_OK, 0));
  struct stat st {};
  EXPECT_EQ(0, RUN(fstatat, dir_, "f", &st, 0));
  EXPECT_EQ(10, st.st_size);
  struct statx stx {};
  EXPECT_EQ(0, RUN(statxat, dir_, "f", 0, STATX_SIZE, &stx));
  EXPECT_EQ(10u, stx.stx_size);
  struct statvfs vfs {};
  EXPECT_EQ(0, RUN(statvfs, "d", &vfs));
  EXPECT_EQ(255u, vfs.f_namemax);
  EXPECT_EQ(0, RUN(fstatvfs, fd_, &vfs));
  char path[256] = {};
  EXPECT_EQ(static_cast<int64_t>(home().size()) + 5, RUN(realpath, "d/f", path, sizeof path));
  EXPECT_EQ(home() + "/d/f", path);
  uint64_t operations = 0;
  EXPECT_EQ(0, RUN(server_operations, ".", &operations));
  EXPECT_GT(operations, 0u);
  EXPECT_EQ(-ENOENT, RUN(chroot, "absent"));
}

TEST_F(AsyncCalls, ExtendedAttributes) {
  char value[8] = {};
  EXPECT_EQ(0, RUN(lsetxattr, "d/f", "user.a", "1", 1, 0));
  EXPECT_EQ(1, RUN(lgetxattr, "d/f", "user.a", value, sizeof value));
  EXPECT_EQ(7, RUN(llistxattr, "d/f", value, sizeof value));
  EXPECT_EQ(0, RUN(lremovexattr, "d/f", "user.a"));
  EXPECT_EQ(0, RUN(fsetxattr, fd_, "user.b", "2", 1, 0));
  EXPECT_EQ(1, RUN(fgetxattr, fd_, "user.b", value, sizeof value));
  EXPECT_EQ('2', value[0]);
  EXPECT_EQ(7, RUN(flistxattr, fd_, value, sizeof value));
  EXPECT_EQ(0, RUN(fremovexattr, fd_, "user.b"));
  EXPECT_EQ(-ENODATA, RUN(fgetxattr, fd_, "user.b", value, sizeof value));
}

TEST_F(AsyncCalls, RangesAndVectors) {
  std::string text = "ab";
  iovec part{text.data(), text.size()};
  EXPECT_EQ(2, RUN(pwritev2, fd_, &part, 1, 0, RWF_APPEND));
  EXPECT_EQ(2, RUN(preadv2, fd_, &part, 1, 8, 0));
  EXPECT_EQ("89", text);
  EXPECT_EQ(-EOPNOTSUPP, RUN(preadv2, fd_, &part, 1, 0, 0x4000));
  EXPECT_EQ(-EINVAL, RUN(pwritev2, fd_, &part, -1, 0, 0));
  EXPECT_EQ(0, RUN(fallocate, fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4));
  EXPECT_EQ(std::string(4, '\0') + "456789ab", content("d/f"));
  EXPECT_EQ(0, RUN(posix_fadvise, fd_, 0, 0, POSIX_FADV_DONTNEED));
  EXPECT_EQ(0, RUN(sync_file_range, fd_, 0, 0, 7));
  EXPECT_EQ(0, RUN(syncfs, fd_));
}

TEST_F(AsyncCalls, Mappings) {
  constexpr size_t kPage = 4096;
  void* address = nullptr;
  EXPECT_EQ(-EINVAL, RUN(mmap, nullptr, 0, PROT_READ, MAP_SHARED, fd_, 0, &address));
  ASSERT_EQ(0, RUN(mmap, nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0, &address));
  std::memcpy(address, "first", 5);
  EXPECT_EQ(0, RUN(msync, address, kPage, MS_SYNC));
  EXPECT_EQ("first", Client(server_->url()).get(home() + "/d/f").substr(0, 5));
  std::memcpy(address, "again", 5);
  EXPECT_EQ(0, RUN(munmap, address, kPage));
  EXPECT_EQ("again", Client(server_->url()).get(home() + "/d/f").substr(0, 5));
  EXPECT_EQ(-ENOMEM, RUN(msync, address, kPage, MS_SYNC));
}

TEST_F(AsyncCalls, Descriptors) {
  EXPECT_EQ(20, RUN(dup3, fd_, 20, O_CLOEXEC));
  EXPECT_EQ(FD_CLOEXEC, RUN(fcntl, 20, F_GETFD, 0));
  pollfd ready{20, POLLIN, 0};
  EXPECT_EQ(1, RUN(poll, &ready, 1, -1));
  EXPECT_EQ(POLLIN, ready.revents);
  EXPECT_EQ(0, RUN(close_range, 20u, 30u, 0u));
  EXPECT_EQ(-EBADF, RUN(fcntl, 20, F_GETFD, 0));
}

TEST_F(AsyncCalls, AWaitForALockEndsWithTheLock) {
  Client other(server_->url());
  const int theirs = other.open(home() + "/d/f", O_RDWR);
  ASSERT_EQ(0, myfs_flock(other, theirs, LOCK_EX));
  EXPECT_EQ(-EAGAIN, RUN(flock, fd_, LOCK_EX | LOCK_NB));
  struct flock range {};
  range.l_type = F_WRLCK;
  ASSERT_EQ(0, myfs_lock(other, theirs, F_SETLK, &range));
  Told whole, part;
  myfs_op whole_op = whole.op(), part_op = part.op();
  struct flock mine = range;
  ASSERT_EQ(0, myfs_async_flock(queue_, &whole_op, fd_, LOCK_EX));
  ASSERT_EQ(0, myfs_async_lock(queue_, &part_op, fd_, F_SETLKW, &mine));
  EXPECT_EQ(-EAGAIN, RUN(lockf, fd_, F_TLOCK, 1));  // both wait, and this is told
  EXPECT_EQ(0, whole.times.load() + part.times.load());
  ASSERT_EQ(0, myfs_flock(other, theirs, LOCK_UN));
  EXPECT_EQ(0, wait_for(whole));
  range.l_type = F_UNLCK;
  ASSERT_EQ(0, myfs_lock(other, theirs, F_SETLK, &range));
  EXPECT_EQ(0, wait_for(part));
  ASSERT_EQ(0, myfs_close(other, theirs));
}

TEST_F(AsyncCalls, AWaitForALockEndsWithItsTokenAndLeavesTheWorker) {
  Client other(server_->url());
  const int theirs = other.open(home() + "/d/f", O_RDWR);
  ASSERT_EQ(0, myfs_flock(other, theirs, LOCK_EX));
  use_queue(MYFS_ASYNC_SERVICE, 1);
  CancelToken token;
  const myfs_call call{sizeof call, nullptr, 0, token.get()};
  Told waits, behind;
  myfs_op waits_op = waits.op(&call), behind_op = behind.op();
  ASSERT_EQ(0, myfs_async_flock(queue_, &waits_op, fd_, LOCK_EX));
  ASSERT_EQ(0, myfs_async_mkdirat(queue_, &behind_op, dir_, "s", 0755));
  token.fire();
  EXPECT_EQ(-ECANCELED, wait_for(waits));
  EXPECT_EQ(0, wait_for(behind));
  // It got nothing afterwards.
  ASSERT_EQ(0, myfs_flock(other, theirs, LOCK_UN));
  EXPECT_EQ(0, myfs_flock(other, theirs, LOCK_EX | LOCK_NB));
  ASSERT_EQ(0, myfs_close(other, theirs));
}

// Of <myfs/async.hpp>, where a wrong argument would be seen by the compiler alone if nobody used
// it.
TEST_F(AsyncCalls, Awaitables) {
  auto task = Task::open(server_->url());
  ASSERT_TRUE(task.ok() && task->chdir(home() + "/d").ok());
  auto async = Async::create(*task);
  ASSERT_TRUE(async.ok());
  bool over = false;
  auto work = [&]() -> Detached {
    Result<int> fd = co_await async->creat("new", 0644);
    EXPECT_TRUE(fd.ok());
    std::string text = "abc";
    const iovec part{text.data(), text.size()};
    EXPECT_EQ(3u, *co_await async->writev(*fd, std::span(&part, 1)));
    EXPECT_EQ(3u, *co_await async->pwritev2(*fd, std::span(&part, 1), 3));
    EXPECT_TRUE((co_await async->fallocate(*fd, 0, 0, 9)).ok());
    void* at = nullptr;
    Result<int> both = co_await async->open("new", O_RDWR);
    EXPECT_TRUE((co_await async->mmap(nullptr, 9, PROT_READ, MAP_SHARED, *both, 0, &at)).ok());
    EXPECT_TRUE((co_await async->msync(at, 9, MS_INVALIDATE)).ok());
    EXPECT_TRUE((co_await async->munmap(at, 9)).ok());
    struct statx stx {};
    EXPECT_TRUE((co_await async->statx("new", 0, STATX_SIZE, &stx)).ok());
    EXPECT_EQ(9u, stx.stx_size);
    EXPECT_TRUE((co_await async->flock(*fd, LOCK_EX)).ok());
    EXPECT_TRUE((co_await async->lockf(*fd, F_TLOCK, 1)).ok());
    EXPECT_EQ(30, *co_await async->dup3(*fd, 30));
    EXPECT_TRUE((co_await async->close_range(30, 30)).ok());
    EXPECT_TRUE((co_await async->fsetxattr(*fd, "user.a", std::as_bytes(std::span(text)))).ok());
    EXPECT_TRUE((co_await async->close(*fd)).ok());
    Result<int> again = co_await async->openat(AT_FDCWD, "new", O_RDONLY);
    EXPECT_EQ(3u, *co_await async->readv(*again, std::span(&part, 1)));
    EXPECT_EQ(3u, *co_await async->preadv2(*again, std::span(&part, 1), 0));
    std::array<char, 256> path;
    EXPECT_EQ(home().size() + 7, *co_await async->realpath("new", path));
    EXPECT_TRUE((co_await async->renameat(AT_FDCWD, "new", AT_FDCWD, "old")).ok());
    struct stat st {};
    EXPECT_EQ(ENOENT, (co_await async->statat(AT_FDCWD, "new", &st)).error().value());
    EXPECT_TRUE((co_await async->statvfs(".")).ok());
    EXPECT_TRUE((co_await async->close(*again)).ok());
    over = true;
  };
  work();
  EXPECT_TRUE(serve_until(async->get(), [&] { return over; }));
}

// The synchronous mirrors of <myfs/myfs.hpp> for the same calls.
TEST_F(AsyncCalls, Mirrors) {
  auto task = Task::open(server_->url());
  ASSERT_TRUE(task.ok() && task->chdir(home()).ok());
  auto file = task->open_file("d", O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(file.ok());
  auto dir = task->fdopendir(std::move(*file));
  ASSERT_TRUE(dir.ok());
  int entries = 0;
  for (auto entry = dir->next(); entry.ok() && entry->has_value(); entry = dir->next()) ++entries;
  EXPECT_EQ(3, entries);
  auto plain = task->open_file("d/f", O_RDWR);
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(ENOTDIR, task->fdopendir(std::move(*task->open_file("d/f", O_RDONLY))).error().value());
  auto copy = plain->dup3(40, O_CLOEXEC);
  ASSERT_TRUE(copy.ok());
  EXPECT_EQ(40, copy->fd());
  EXPECT_EQ(EINVAL, plain->dup3(plain->fd()).error().value());
  pollfd ready{40, POLLOUT, 0};
  EXPECT_EQ(1, *task->poll(std::span(&ready, 1), 0));
  EXPECT_TRUE(task->setxattr("d/f", "user.a", "value").ok());
  EXPECT_EQ("value", *task->getxattr("d/f", "user.a"));
  EXPECT_EQ(std::string("user.a\0", 7), *task->listxattr("d/f"));
  EXPECT_TRUE(task->removexattr("d/f", "user.a").ok());
  EXPECT_EQ(ENODATA, task->getxattr("d/f", "user.a", true).error().value());
}

}  // namespace
}  // namespace myfs::test
