// File locks of the VFS, on a file system that leaves them to it; and the record of what a server
// has decided.
#include "sdk/fs/locks.h"

#include <sys/file.h>

#include <set>

#include "sdk/base/clock.h"
#include "tests/support/flock.h"
#include "tests/unit/fs/fs_fixture.h"

namespace myfs::fs {
namespace {

using test::flock_range;

constexpr int64_t kPatience_ns = 20 * kNsPerSec;

class Locks : public FsFixture {
 protected:
  void SetUp() override {
    ASSERT_TRUE(other.mount(root, Ref<SuperBlock>(ramfs->sb()), "/", false).ok());
    ASSERT_EQ(0, create("/f"));
    ASSERT_EQ(0, create("/g"));
    fd = open("/f", O_RDWR);
    other_fd = open_in(other, "/f");
  }
  int open_in(TaskStruct& in, std::string_view path, uint32_t flags = O_RDWR) {
    Result<int> opened = vfs_open(root, in, {AT_FDCWD, path}, flags, 0644);
    EXPECT_TRUE(opened.ok());
    return opened.ok() ? *opened : -1;
  }
  int set(const TaskStruct& by, int at, struct flock lock, int cmd = F_SETLK) {
    return errno_of(vfs_fcntl_lock(root, by, at, cmd, &lock));
  }
  int wait(const TaskStruct& by, int at, struct flock lock) {
    CallContext ctx = root;
    ctx.deadline_ns = deadline_after_ns(kPatience_ns);
    return errno_of(vfs_fcntl_lock(ctx, by, at, F_SETLKW, &lock));
  }
  struct flock get(const TaskStruct& by, int at, struct flock lock, int cmd = F_GETLK) {
    EXPECT_EQ(0, errno_of(vfs_fcntl_lock(root, by, at, cmd, &lock)));
    return lock;
  }
  int flock(const TaskStruct& by, int at, int operation) {
    return errno_of(vfs_flock(root, by, at, operation));
  }
  // "0+10 W, 20+ R": what the other task would meet.
  std::string map() {
    std::string text;
    off_t at = 0;
    while (true) {
      struct flock lock = get(other, other_fd, flock_range(F_WRLCK, at));
      if (lock.l_type == F_UNLCK) return text;
      text += (text.empty() ? "" : ", ") + std::to_string(lock.l_start) + "+" +
              (lock.l_len == 0 ? "" : std::to_string(lock.l_len)) +
              (lock.l_type == F_WRLCK ? " W" : " R");
      if (lock.l_len == 0) return text;
      at = lock.l_start + lock.l_len;
    }
  }

  TaskStruct other{make_cred(0)};
  int fd = -1, other_fd = -1;
};

TEST_F(Locks, readers_share_and_writers_exclude) {
  EXPECT_EQ(0, set(task, fd, flock_range(F_RDLCK, 0, 10)));
  EXPECT_EQ(0, set(other, other_fd, flock_range(F_RDLCK, 5, 10)));
  EXPECT_EQ(EAGAIN, set(other, other_fd, flock_range(F_WRLCK, 9, 1)));
  EXPECT_EQ(0, set(other, other_fd, flock_range(F_WRLCK, 10, 1)));
  EXPECT_EQ(0, set(task, fd, flock_range(F_WRLCK, 0, 5)));
}

TEST_F(Locks, the_ranges_of_an_owner_split_and_join) {
  EXPECT_EQ(0, set(task, fd, flock_range(F_WRLCK, 0, 100)));
  EXPECT_EQ(0, set(task, fd, flock_range(F_UNLCK, 40, 20)));
  EXPECT_EQ("0+40 W, 60+40 W", map());
  EXPECT_EQ(0, set(task, fd, flock_range(F_RDLCK, 30, 40)));
  EXPECT_EQ("0+30 W, 30+40 R, 70+30 W", map());
  EXPECT_EQ(0, set(task, fd, flock_range(F_WRLCK, 30, 40)));
  EXPECT_EQ("0+100 W", map());
  EXPECT_EQ(0, set(task, fd, flock_range(F_RDLCK, 200)));
  EXPECT_EQ("0+100 W, 200+ R", map());
  EXPECT_EQ(0, set(task, fd, flock_range(F_UNLCK)));
  EXPECT_EQ("", map());
}

TEST_F(Locks, a_range_is_counted_from_where_it_says) {
  ASSERT_EQ(10, write(fd, "0123456789"));
  EXPECT_EQ(0, set(task, fd, flock_range(F_WRLCK, -4, 2, SEEK_CUR)));
  EXPECT_EQ("6+2 W", map());
  EXPECT_EQ(0, set(task, fd, flock_range(F_WRLCK, -10, 1, SEEK_END)));
  EXPECT_EQ("0+1 W, 6+2 W", map());
  EXPECT_EQ(0, set(task, fd, flock_range(F_UNLCK)));
  EXPECT_EQ(0, set(task, fd, flock_range(F_WRLCK, 5, -3)));
  EXPECT_EQ("2+3 W", map());
  EXPECT_EQ(0, set(task, fd, flock_range(F_WRLCK, INT64_MAX, 1)));
  EXPECT_EQ("2+3 W, 9223372036854775807+ W", map());
}

TEST_F(Locks, ranges_that_are_none_are_refused) {
  EXPECT_EQ(EINVAL, set(task, fd, flock_range(F_WRLCK, -1, 2)));
  EXPECT_EQ(EINVAL, set(task, fd, flock_range(F_WRLCK, 2, -3)));
  EXPECT_EQ(EINVAL, set(task, fd, flock_range(F_WRLCK, -1, 1, SEEK_CUR)));
  EXPECT_EQ(EINVAL, set(task, fd, flock_range(F_WRLCK, 0, 1, 7)));
  EXPECT_EQ(EINVAL, set(task, fd, flock_range(7)));
  EXPECT_EQ(EOVERFLOW, set(task, fd, flock_range(F_WRLCK, INT64_MAX, 2)));
  ASSERT_EQ(1, write(fd, "x"));
  EXPECT_EQ(EOVERFLOW, set(task, fd, flock_range(F_WRLCK, INT64_MAX, 0, SEEK_CUR)));
  EXPECT_EQ(EINVAL, set(task, fd, flock_range(F_WRLCK), F_DUPFD));
  struct flock none = flock_range(F_UNLCK);
  EXPECT_EQ(EINVAL, errno_of(vfs_fcntl_lock(root, task, fd, F_GETLK, &none)));
}

TEST_F(Locks, a_lock_needs_the_access_that_it_guards) {
  const int reads = open("/f", O_RDONLY), writes = open("/f", O_WRONLY), path = open("/f", O_PATH);
  EXPECT_EQ(EBADF, set(task, reads, flock_range(F_WRLCK)));
  EXPECT_EQ(EBADF, set(task, writes, flock_range(F_RDLCK)));
  EXPECT_EQ(EBADF, set(task, path, flock_range(F_RDLCK)));
  EXPECT_EQ(EBADF, set(task, 4711, flock_range(F_RDLCK)));
  EXPECT_EQ(0, set(task, reads, flock_range(F_RDLCK)));
  EXPECT_EQ(0, set(task, reads, flock_range(F_UNLCK)));
  EXPECT_EQ(0, set(task, writes, flock_range(F_WRLCK)));
  EXPECT_EQ(EBADF, flock(task, path, LOCK_SH));
  EXPECT_EQ(0, flock(task, reads, LOCK_EX));
  EXPECT_EQ(EINVAL, flock(task, reads, LOCK_NB));
}

TEST_F(Locks, any_close_of_the_task_gives_up_its_posix_locks) {
  const int second = open("/f", O_RDONLY);
  EXPECT_EQ(0, set(task, fd, flock_range(F_WRLCK)));
  EXPECT_EQ(EAGAIN, set(other, other_fd, flock_range(F_RDLCK)));
  EXPECT_EQ(0, close(second));
  EXPECT_EQ(0, set(other, other_fd, flock_range(F_RDLCK)));
  EXPECT_EQ(0, set(task, open("/g", O_RDWR), flock_range(F_WRLCK)));
  ASSERT_TRUE(vfs_dup2(root, task, fd, fd + 1).ok());
  EXPECT_EQ(0, set(other, open_in(other, "/g"), flock_range(F_RDLCK))) << "dup2 closed it";
}

TEST_F(Locks, those_of_an_open_file_go_with_its_last_close) {
  Result<int> copy = vfs_dup(task, fd, 0);
  ASSERT_TRUE(copy.ok());
  EXPECT_EQ(0, set(task, fd, flock_range(F_WRLCK), F_OFD_SETLK));
  EXPECT_EQ(0, flock(task, fd, LOCK_EX));
  EXPECT_EQ(0, close(open("/f", O_RDWR)));
  EXPECT_EQ(0, close(fd));
  EXPECT_EQ(EAGAIN, set(other, other_fd, flock_range(F_RDLCK)));
  EXPECT_EQ(EAGAIN, flock(other, other_fd, LOCK_SH | LOCK_NB));
  EXPECT_EQ(0, close(*copy));
  EXPECT_EQ(0, set(other, other_fd, flock_range(F_RDLCK)));
  EXPECT_EQ(0, flock(other, other_fd, LOCK_SH | LOCK_NB));
}

// Two open files of one task are two owners; the task and its open files are, too.
TEST_F(Locks, an_open_file_is_an_owner_of_its_own) {
  const int second = open("/f", O_RDWR);
  EXPECT_EQ(0, set(task, fd, flock_range(F_WRLCK, 0, 10), F_OFD_SETLK));
  EXPECT_EQ(EAGAIN, set(task, second, flock_range(F_WRLCK, 0, 10), F_OFD_SETLK));
  EXPECT_EQ(EAGAIN, set(task, fd, flock_range(F_WRLCK, 0, 10)));
  struct flock found = get(task, second, flock_range(F_RDLCK), F_OFD_GETLK);
  EXPECT_EQ(F_WRLCK, found.l_type);
  EXPECT_EQ(-1, found.l_pid);
  EXPECT_EQ(F_UNLCK, get(task, fd, flock_range(F_RDLCK), F_OFD_GETLK).l_type);
  struct flock with_pid = flock_range(F_WRLCK);
  with_pid.l_pid = 1;
  EXPECT_EQ(EINVAL, set(task, fd, with_pid, F_OFD_SETLK));
}

TEST_F(Locks, getlk_tells_the_lock_in_the_way) {
  EXPECT_EQ(0, set(task, fd, flock_range(F_WRLCK, 10, 10)));
  struct flock found = get(other, other_fd, flock_range(F_RDLCK, 15, 100));
  EXPECT_EQ(F_WRLCK, found.l_type);
  EXPECT_EQ(SEEK_SET, found.l_whence);
  EXPECT_EQ(10, found.l_start);
  EXPECT_EQ(10, found.l_len);
  EXPECT_EQ(getpid(), found.l_pid);
  struct flock free = get(other, other_fd, flock_range(F_RDLCK, 20, 100));
  EXPECT_EQ(F_UNLCK, free.l_type);
  EXPECT_EQ(20, free.l_start);
  EXPECT_EQ(100, free.l_len);
}

TEST_F(Locks, flock_knows_nothing_of_the_others) {
  EXPECT_EQ(0, flock(task, fd, LOCK_EX));
  EXPECT_EQ(0, set(other, other_fd, flock_range(F_WRLCK)));
  EXPECT_EQ(EAGAIN, flock(other, other_fd, LOCK_SH | LOCK_NB));
}

TEST_F(Locks, a_flock_that_changes_its_type_is_given_up_first) {
  EXPECT_EQ(0, flock(task, fd, LOCK_SH));
  EXPECT_EQ(0, flock(other, other_fd, LOCK_SH));
  EXPECT_EQ(EAGAIN, flock(task, fd, LOCK_EX | LOCK_NB));
  EXPECT_EQ(0, flock(other, other_fd, LOCK_EX | LOCK_NB)) << "the other one has lost its own";
  EXPECT_EQ(0, flock(other, other_fd, LOCK_SH | LOCK_NB));
  EXPECT_EQ(0, flock(task, fd, LOCK_SH | LOCK_NB));
}

TEST_F(Locks, who_waits_gets_it_when_it_is_free) {
  EXPECT_EQ(0, set(task, fd, flock_range(F_WRLCK)));
  std::atomic<int> result{-1};
  Thread waiter("waiter", [&] { result.store(wait(other, other_fd, flock_range(F_WRLCK, 5, 5))); });
  EXPECT_EQ(0, set(task, fd, flock_range(F_UNLCK, 0, 6)));
  EXPECT_EQ(0, set(task, fd, flock_range(F_RDLCK, 6, 10)));
  EXPECT_EQ(-1, result.load());
  EXPECT_EQ(0, set(task, fd, flock_range(F_UNLCK)));
  waiter.join();
  EXPECT_EQ(0, result.load());
  EXPECT_EQ(EAGAIN, set(task, fd, flock_range(F_RDLCK, 9, 1)));
}

TEST_F(Locks, a_wait_ends_with_its_deadline_or_its_token) {
  EXPECT_EQ(0, set(task, fd, flock_range(F_WRLCK)));
  CallContext late = root;
  late.deadline_ns = boottime_ns() + kNsPerMs;
  struct flock lock = flock_range(F_WRLCK);
  EXPECT_EQ(ETIMEDOUT, errno_of(vfs_fcntl_lock(late, other, other_fd, F_SETLKW, &lock)));
  CancelToken token;
  CallContext cancelled = root;
  cancelled.cancel = &token;
  Thread canceller("cancel", [&] { token.cancel(); });
  EXPECT_EQ(EINTR, errno_of(vfs_fcntl_lock(cancelled, other, other_fd, F_SETLKW, &lock)));
  EXPECT_EQ(0, set(task, fd, flock_range(F_UNLCK)));
  EXPECT_EQ("", map());
  EXPECT_EQ(0, set(task, fd, flock_range(F_WRLCK))) << "who gave up got nothing";
}

TEST_F(Locks, a_circle_of_waits_is_refused) {
  const int g = open("/g", O_RDWR), other_g = open_in(other, "/g");
  EXPECT_EQ(0, set(task, fd, flock_range(F_WRLCK)));
  EXPECT_EQ(0, set(other, other_g, flock_range(F_WRLCK)));
  std::atomic<int> first{-1};
  Thread waiter("waiter", [&] {
    first.store(wait(task, g, flock_range(F_WRLCK)));
    if (first.load() == EDEADLK) set(task, fd, flock_range(F_UNLCK));
  });
  const int second = wait(other, other_fd, flock_range(F_WRLCK));
  if (second == EDEADLK) {
    EXPECT_EQ(0, set(other, other_g, flock_range(F_UNLCK)));
  }
  waiter.join();
  // Whoever came second was refused, and the other one got what he waited for.
  EXPECT_EQ((std::set<int>{0, EDEADLK}), (std::set<int>{first.load(), second}));
}

// --- what a server has decided

class Recorded : public Locks {
 protected:
  static inline const std::vector<LockSpan> kAnywhere{LockSpan{}};
  FileLockContext& context() { return task.files.fget(fd)->f_inode().get_lock_context(); }
  FileLock lock(int type, uint64_t first, uint64_t last, uint64_t seq) {
    return {.fl_type = static_cast<int16_t>(type),
            .fl_start = first,
            .fl_end = last,
            .fl_owner = task.lock_owner,
            .fl_open_id = task.files.fget(fd)->f_open_id,
            .fl_seq = seq};
  }
};

TEST_F(Recorded, what_is_heard_late_changes_nothing_newer) {
  EXPECT_TRUE(context().record(lock(F_UNLCK, 10, 19, 5), kAnywhere));
  EXPECT_TRUE(context().record(lock(F_WRLCK, 0, 29, 4), kAnywhere));
  EXPECT_EQ("0+10 W, 20+10 W", map());
  EXPECT_TRUE(context().record(lock(F_RDLCK, 0, 4, 3), kAnywhere));
  EXPECT_EQ("0+10 W, 20+10 W", map());
  EXPECT_TRUE(context().record(lock(F_WRLCK, 10, 14, 6)));
  EXPECT_EQ("0+15 W, 20+10 W", map());
  EXPECT_FALSE(context().record(lock(F_UNLCK, 0, kOffsetMax, 7)));
}

TEST_F(Recorded, unlocks_are_remembered_where_older_changes_may_come) {
  const std::vector<LockSpan> older{{10, 19}};
  EXPECT_FALSE(context().record(lock(F_UNLCK, 20, 29, 5), older));
  EXPECT_TRUE(context().record(lock(F_UNLCK, 5, 14, 6), older));
  EXPECT_FALSE(context().forget_unlocked(lock(F_UNLCK, 0, 0, 0), {}));
}

// What one owner's changes put together says nothing of another's, which are still under way.
TEST_F(Recorded, owners_are_put_in_order_each_by_itself) {
  FileLock others = lock(F_WRLCK, 100, 109, 9);
  others.fl_owner += 1000;
  EXPECT_TRUE(context().record(lock(F_UNLCK, 10, 19, 5), kAnywhere));
  EXPECT_TRUE(context().record(lock(F_WRLCK, 30, 39, 6), kAnywhere));
  EXPECT_TRUE(context().record(lock(F_WRLCK, 40, 49, 8), kAnywhere));
  EXPECT_TRUE(context().record(others));
  EXPECT_TRUE(context().record(lock(F_WRLCK, 0, 29, 4), kAnywhere));
  EXPECT_TRUE(context().record(lock(F_UNLCK, 40, 49, 7), kAnywhere));
  EXPECT_EQ("0+10 W, 20+10 W, 30+10 W, 40+10 W, 100+10 W", map());
  EXPECT_TRUE(context().forget_unlocked(lock(F_UNLCK, 0, 0, 0), {}));
  EXPECT_EQ("0+10 W, 20+30 W, 100+10 W", map());
}

TEST_F(Recorded, what_was_lost_ends_the_io_of_its_owner) {
  ASSERT_EQ(4, write(fd, "text"));
  const int second = open("/f", O_RDWR), third = open("/g", O_RDWR);
  context().record(lock(F_WRLCK, 0, 9, 1));
  context().lose_all();
  for (int at : {fd, second}) {
    EXPECT_EQ("errno " + std::to_string(EIO), pread(at, 4, 0));
    EXPECT_EQ(-EIO, write(at, "x"));
    EXPECT_EQ(EIO, errno_of(vfs_fallocate(root, task, at, 0, 0, 10)));
    EXPECT_EQ(EIO, errno_of(vfs_ftruncate(root, task, at, 0)));
  }
  EXPECT_EQ("", pread(third, 4, 0));
  char byte;
  EXPECT_TRUE(vfs_pread(root, other, other_fd, &byte, 1, 0).ok()) << "another task's affair";
  EXPECT_FALSE(context().unlock_lost(lock(F_UNLCK, 0, 4, 0)));
  EXPECT_EQ(-EIO, write(fd, "x")) << "a part of it";
  EXPECT_FALSE(context().unlock_lost(lock(F_UNLCK, 5, 9, 0)));
  EXPECT_EQ("text", pread(fd, 4, 0));
}

}  // namespace
}  // namespace myfs::fs
