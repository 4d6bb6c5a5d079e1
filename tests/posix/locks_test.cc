// Locks call by call: what they mean within a task, between tasks, and each errno.

#include <sys/file.h>

#include <thread>
#include <vector>

#include "tests/posix/api_test.h"
#include "tests/support/flock.h"

namespace myfs::test {
namespace {

// Another task, of the same process: another owner of locks, in a session of its own.
class Locks : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    make_file("f", "0123456789");
    fd_ = open("f");
    ASSERT_EQ(0, myfs_open_url(server_->url().c_str(), nullptr, &other_)) << last_message();
    other_fd_ = myfs_open(other_, (home() + "/f").c_str(), O_RDWR, 0);
    ASSERT_GE(other_fd_, 0) << last_message();
  }
  void TearDown() override {
    if (other_ != nullptr) {
      EXPECT_EQ(0, myfs_task_destroy(other_)) << last_message();
    }
    ApiTest::TearDown();
  }
  static int set(myfs_task* task, int fd, struct flock lock, int cmd = F_SETLK) {
    return myfs_lock(task, fd, cmd, &lock);
  }
  // As F_SETLKW; a minute is for ever.
  static int wait(myfs_task* task, int fd, struct flock lock) {
    const myfs_call call{sizeof call, nullptr, 60'000, nullptr};
    return myfs_lock_x(task, &call, fd, F_SETLKW, &lock);
  }
  int other_open(const char* name, int flags = O_RDWR | O_CREAT) {
    return myfs_open(other_, (home() + "/" + name).c_str(), flags, 0644);
  }
  // Whether the other task could lock this.
  bool is_free(off_t start = 0, off_t length = 0) {
    struct flock lock = flock_range(F_WRLCK, start, length);
    EXPECT_EQ(0, myfs_lock(other_, other_fd_, F_GETLK, &lock)) << last_message();
    return lock.l_type == F_UNLCK;
  }

  myfs_task* other_ = nullptr;
  int fd_ = -1, other_fd_ = -1;
};

TEST_F(Locks, lock_EAGAIN) {
  ASSERT_EQ(0, set(task_, fd_, flock_range(F_WRLCK, 0, 5)));
  EXPECT_EQ(-EAGAIN, set(other_, other_fd_, flock_range(F_RDLCK)));
  EXPECT_EQ(-EAGAIN, set(other_, other_fd_, flock_range(F_WRLCK, 4, 1)));
  EXPECT_EQ(-EAGAIN, set(other_, other_fd_, flock_range(F_RDLCK), F_OFD_SETLK));
  EXPECT_EQ(0, set(other_, other_fd_, flock_range(F_WRLCK, 5, 1)));
}

TEST_F(Locks, fcntl_takes_the_address_of_a_lock) {
  struct flock lock = flock_range(F_WRLCK, 3, 4);
  EXPECT_EQ(0, myfs_fcntl(task_, fd_, F_SETLK, reinterpret_cast<intptr_t>(&lock)));
  EXPECT_FALSE(is_free(3, 1));
  EXPECT_EQ(-EAGAIN, myfs_fcntl(other_, other_fd_, F_SETLK, reinterpret_cast<intptr_t>(&lock)));
  EXPECT_EQ(-EINVAL, myfs_fcntl(task_, fd_, F_SETLK, 0));
}

TEST_F(Locks, lock_EDEADLK) {
  const int g = open("g"), other_g = other_open("g");
  ASSERT_EQ(0, set(task_, fd_, flock_range(F_WRLCK)));
  ASSERT_EQ(0, set(other_, other_g, flock_range(F_WRLCK)));
  int first = -1;
  std::thread waiter([&] {
    first = wait(task_, g, flock_range(F_WRLCK));
    if (first == -EDEADLK) {
      EXPECT_EQ(0, set(task_, fd_, flock_range(F_UNLCK)));
    }
  });
  const int second = wait(other_, other_fd_, flock_range(F_WRLCK));
  if (second == -EDEADLK) {
    EXPECT_EQ(0, set(other_, other_g, flock_range(F_UNLCK)));
  }
  waiter.join();
  EXPECT_EQ(-EDEADLK, first + second) << "one of them, and the other one has got it";
}

TEST_F(Locks, lock_EBADF) {
  const int reads = open("f", O_RDONLY), writes = open("f", O_WRONLY), path = open("f", O_PATH);
  EXPECT_EQ(-EBADF, set(task_, reads, flock_range(F_WRLCK)));
  EXPECT_EQ(-EBADF, set(task_, writes, flock_range(F_RDLCK)));
  EXPECT_EQ(-EBADF, set(task_, path, flock_range(F_RDLCK)));
  EXPECT_EQ(-EBADF, set(task_, 4711, flock_range(F_RDLCK)));
  EXPECT_EQ(0, set(task_, reads, flock_range(F_RDLCK)));
  make_dir("d");
  const int dir = open("d", O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(0, set(task_, dir, flock_range(F_RDLCK)));
  EXPECT_EQ(-EBADF, set(task_, dir, flock_range(F_WRLCK)));
}

TEST_F(Locks, lock_EINVAL) {
  EXPECT_EQ(-EINVAL, set(task_, fd_, flock_range(F_WRLCK, -1, 2)));
  EXPECT_EQ(-EINVAL, set(task_, fd_, flock_range(F_WRLCK, 2, -3)));
  EXPECT_EQ(-EINVAL, set(task_, fd_, flock_range(F_WRLCK, 0, 1, 7)));
  EXPECT_EQ(-EINVAL, set(task_, fd_, flock_range(7)));
  EXPECT_EQ(-EINVAL, set(task_, fd_, flock_range(F_WRLCK), F_DUPFD));
  EXPECT_EQ(-EINVAL, set(task_, fd_, flock_range(F_UNLCK), F_GETLK));
  EXPECT_EQ(-EINVAL, myfs_lock(task_, fd_, F_SETLK, nullptr));
  struct flock lock = flock_range(F_WRLCK);
  lock.l_pid = 1;
  EXPECT_EQ(-EINVAL, set(task_, fd_, lock, F_OFD_SETLK));
}

TEST_F(Locks, lock_EOVERFLOW_lockf_EOVERFLOW) {
  EXPECT_EQ(-EOVERFLOW, set(task_, fd_, flock_range(F_WRLCK, INT64_MAX, 2)));
  EXPECT_EQ(-EOVERFLOW, set(task_, fd_, flock_range(F_WRLCK, INT64_MAX, 0, SEEK_END)));
  EXPECT_EQ(0, set(task_, fd_, flock_range(F_WRLCK, INT64_MAX, 1)));
  ASSERT_EQ(5, myfs_lseek(task_, fd_, 5, SEEK_SET));
  EXPECT_EQ(-EOVERFLOW, myfs_lockf(task_, fd_, F_TLOCK, INT64_MAX));
}

// All of a mount count; over many files, so that none has a long list.
TEST_F(Locks, lock_ENOLCK_flock_ENOLCK_lockf_ENOLCK) {
  constexpr int kFiles = 256, kOfEach = 65'536 / kFiles;
  std::vector<int> files;
  for (int i = 0; i < kFiles; ++i) {
    files.push_back(open(("many" + std::to_string(i)).c_str()));
    for (int j = 0; j < kOfEach; ++j)
      ASSERT_EQ(0, set(task_, files.back(), flock_range(F_WRLCK, 2 * j, 1))) << i << " " << j;
  }
  EXPECT_EQ(-ENOLCK, set(task_, fd_, flock_range(F_WRLCK)));
  EXPECT_EQ(-ENOLCK, myfs_flock(task_, fd_, LOCK_SH));
  EXPECT_EQ(-ENOLCK, myfs_lockf(task_, fd_, F_LOCK, 1));
  EXPECT_EQ(0, set(other_, other_fd_, flock_range(F_WRLCK))) << "another mount's affair";
  EXPECT_EQ(0, set(other_, other_fd_, flock_range(F_UNLCK)));
  close(files.back());
  EXPECT_EQ(0, set(task_, fd_, flock_range(F_WRLCK)));
}

TEST_F(Locks, lock_EIO) {
  ASSERT_EQ(0, set(task_, fd_, flock_range(F_WRLCK)));
  restart_server();
  struct statfs stat;
  ASSERT_EQ(0, myfs_statfs(task_, "f", &stat)) << "by now it knows: " << last_message();
  char byte;
  EXPECT_EQ(-EIO, myfs_pread(task_, fd_, &byte, 1, 0));
  EXPECT_EQ(-EIO, myfs_pwrite(task_, fd_, "x", 1, 0));
  EXPECT_EQ(-EIO, set(task_, fd_, flock_range(F_RDLCK)));
  EXPECT_EQ(0, set(task_, fd_, flock_range(F_UNLCK)));
  EXPECT_EQ(1, myfs_pread(task_, fd_, &byte, 1, 0));
  EXPECT_EQ(0, set(task_, fd_, flock_range(F_RDLCK)));
}

TEST_F(Locks, flock_EAGAIN) {
  ASSERT_EQ(0, myfs_flock(task_, fd_, LOCK_SH));
  EXPECT_EQ(0, myfs_flock(other_, other_fd_, LOCK_SH | LOCK_NB));
  EXPECT_EQ(-EAGAIN, myfs_flock(other_, other_fd_, LOCK_EX | LOCK_NB));
  EXPECT_EQ(0, myfs_flock(task_, fd_, LOCK_EX | LOCK_NB)) << "the attempt has cost the other's";
  EXPECT_EQ(-EAGAIN, myfs_flock(task_, open("f"), LOCK_SH | LOCK_NB)) << "another open file";
}

TEST_F(Locks, flock_EBADF) {
  EXPECT_EQ(-EBADF, myfs_flock(task_, 4711, LOCK_SH));
  EXPECT_EQ(-EBADF, myfs_flock(task_, open("f", O_PATH), LOCK_SH));
  EXPECT_EQ(0, myfs_flock(task_, open("f", O_RDONLY), LOCK_EX));
}

TEST_F(Locks, flock_EINVAL) {
  EXPECT_EQ(-EINVAL, myfs_flock(task_, fd_, LOCK_NB));
  EXPECT_EQ(-EINVAL, myfs_flock(task_, fd_, LOCK_SH | LOCK_EX));
  EXPECT_EQ(-EINVAL, myfs_flock(task_, fd_, 64));
}

TEST_F(Locks, lockf_EAGAIN_lockf_EACCES) {
  ASSERT_EQ(4, myfs_lseek(task_, fd_, 4, SEEK_SET));
  EXPECT_EQ(0, myfs_lockf(task_, fd_, F_TLOCK, 2));
  EXPECT_TRUE(is_free(0, 4));
  EXPECT_FALSE(is_free(4, 1));
  EXPECT_TRUE(is_free(6));
  ASSERT_EQ(5, myfs_lseek(other_, other_fd_, 5, SEEK_SET));
  EXPECT_EQ(-EAGAIN, myfs_lockf(other_, other_fd_, F_TLOCK, 1));
  EXPECT_EQ(-EACCES, myfs_lockf(other_, other_fd_, F_TEST, 1));
  EXPECT_EQ(0, myfs_lockf(task_, fd_, F_TEST, 1)) << "its own";
  // As libc's, which asks for a shared lock.
  struct flock shared {};
  shared.l_type = F_RDLCK;
  shared.l_start = 10;
  shared.l_len = 1;
  EXPECT_EQ(0, myfs_lock(task_, fd_, F_SETLK, &shared));
  ASSERT_EQ(10, myfs_lseek(other_, other_fd_, 10, SEEK_SET));
  EXPECT_EQ(0, myfs_lockf(other_, other_fd_, F_TEST, 1));
  EXPECT_EQ(-EAGAIN, myfs_lockf(other_, other_fd_, F_TLOCK, 1));
  EXPECT_EQ(0, myfs_lockf(task_, fd_, F_ULOCK, 0));
  EXPECT_EQ(0, myfs_lockf(other_, other_fd_, F_TEST, 1));
}

TEST_F(Locks, lockf_EDEADLK) {
  ASSERT_EQ(0, myfs_lockf(task_, fd_, F_LOCK, 1));
  ASSERT_EQ(0, set(other_, other_fd_, flock_range(F_WRLCK, 1, 1)));
  int first = -1;
  std::thread waiter([&] {
    first = wait(other_, other_fd_, flock_range(F_WRLCK, 0, 1));
    if (first == -EDEADLK) {
      EXPECT_EQ(0, set(other_, other_fd_, flock_range(F_UNLCK)));
    }
  });
  ASSERT_EQ(1, myfs_lseek(task_, fd_, 1, SEEK_SET));
  const int second = myfs_lockf(task_, fd_, F_LOCK, 1);
  if (second == -EDEADLK) {
    EXPECT_EQ(0, set(task_, fd_, flock_range(F_UNLCK)));
  }
  waiter.join();
  EXPECT_EQ(-EDEADLK, first + second);
}

TEST_F(Locks, lockf_EBADF_lockf_EINVAL) {
  EXPECT_EQ(-EBADF, myfs_lockf(task_, open("f", O_RDONLY), F_LOCK, 1));
  EXPECT_EQ(-EBADF, myfs_lockf(task_, 4711, F_TEST, 1));
  EXPECT_EQ(-EINVAL, myfs_lockf(task_, fd_, 77, 1));
  EXPECT_EQ(-EINVAL, myfs_lockf(task_, fd_, F_LOCK, -1));
}

TEST_F(Locks, any_close_gives_up_the_posix_locks_of_the_task) {
  const int second = open("f", O_RDONLY);
  ASSERT_EQ(0, set(task_, fd_, flock_range(F_WRLCK)));
  EXPECT_FALSE(is_free());
  close(second);
  EXPECT_TRUE(is_free());
}

TEST_F(Locks, those_of_an_open_file_go_with_its_last_close) {
  const int copy = myfs_dup(task_, fd_);
  ASSERT_EQ(0, set(task_, fd_, flock_range(F_WRLCK), F_OFD_SETLK));
  ASSERT_EQ(0, myfs_flock(task_, fd_, LOCK_EX));
  close(open("f"));
  close(fd_);
  EXPECT_FALSE(is_free());
  EXPECT_EQ(-EAGAIN, myfs_flock(other_, other_fd_, LOCK_SH | LOCK_NB));
  close(copy);
  EXPECT_TRUE(is_free());
  EXPECT_EQ(0, myfs_flock(other_, other_fd_, LOCK_SH | LOCK_NB));
}

TEST_F(Locks, the_end_of_a_task_gives_up_what_it_has) {
  ASSERT_EQ(0, set(other_, other_fd_, flock_range(F_WRLCK)));
  ASSERT_EQ(0, myfs_flock(other_, other_fd_, LOCK_EX));
  EXPECT_EQ(-EAGAIN, set(task_, fd_, flock_range(F_WRLCK)));
  EXPECT_EQ(0, myfs_task_destroy(std::exchange(other_, nullptr)));
  EXPECT_EQ(0, set(task_, fd_, flock_range(F_WRLCK)));
  EXPECT_EQ(0, myfs_flock(task_, fd_, LOCK_EX | LOCK_NB));
}

TEST_F(Locks, an_open_directory_can_be_locked_after_another_client_removed_it) {
  ASSERT_EQ(0, myfs_mkdir(task_, (home() + "/d").c_str(), 0755));
  const int dir = open("d", O_RDONLY | O_DIRECTORY);
  const int other_dir = other_open("d", O_RDONLY | O_DIRECTORY);
  ASSERT_GE(dir, 0);
  ASSERT_GE(other_dir, 0);
  ASSERT_EQ(0, myfs_flock(other_, other_dir, LOCK_SH));
  ASSERT_EQ(0, myfs_rmdir(other_, (home() + "/d").c_str()));
  EXPECT_EQ(-EAGAIN, myfs_flock(task_, dir, LOCK_EX | LOCK_NB)) << last_message();
  EXPECT_EQ(0, myfs_flock(task_, dir, LOCK_SH)) << last_message();
  EXPECT_EQ(0, set(task_, dir, flock_range(F_RDLCK), F_OFD_SETLK)) << last_message();
  struct flock lock = flock_range(F_WRLCK);
  EXPECT_EQ(0, myfs_lock(other_, other_dir, F_GETLK, &lock)) << last_message();
  EXPECT_EQ(F_RDLCK, lock.l_type);
  EXPECT_EQ(0, myfs_close(task_, dir)) << last_message();
  EXPECT_EQ(0, myfs_flock(other_, other_dir, LOCK_EX | LOCK_NB)) << last_message();
  EXPECT_EQ(0, myfs_close(other_, other_dir)) << last_message();
}

TEST_F(Locks, an_open_directory_that_its_client_alone_knows_can_be_locked_after_its_removal) {
  ASSERT_EQ(0, myfs_mkdir(task_, (home() + "/d").c_str(), 0755));
  const int dir = open("d", O_RDONLY | O_DIRECTORY);
  ASSERT_GE(dir, 0);
  ASSERT_EQ(0, myfs_rmdir(other_, (home() + "/d").c_str()));
  EXPECT_EQ(0, myfs_flock(task_, dir, LOCK_EX | LOCK_NB)) << last_message();
  EXPECT_EQ(0, set(task_, dir, flock_range(F_RDLCK))) << last_message();
  EXPECT_EQ(0, myfs_close(task_, dir)) << last_message();
}

TEST_F(Locks, getlk_tells_the_first_lock_in_the_way) {
  ASSERT_EQ(0, set(other_, other_fd_, flock_range(F_WRLCK, 100)));
  ASSERT_EQ(0, set(other_, other_fd_, flock_range(F_RDLCK, 10, 10)));
  struct flock lock = flock_range(F_WRLCK);
  ASSERT_EQ(0, myfs_lock(task_, fd_, F_GETLK, &lock));
  EXPECT_EQ(F_RDLCK, lock.l_type);
  EXPECT_EQ(SEEK_SET, lock.l_whence);
  EXPECT_EQ(10, lock.l_start);
  EXPECT_EQ(10, lock.l_len);
  EXPECT_EQ(getpid(), lock.l_pid);
  lock = flock_range(F_RDLCK);
  ASSERT_EQ(0, myfs_lock(task_, fd_, F_GETLK, &lock));
  EXPECT_EQ(100, lock.l_start);
  EXPECT_EQ(0, lock.l_len);
  ASSERT_EQ(0, set(other_, other_fd_, flock_range(F_UNLCK)));
  ASSERT_EQ(0, set(other_, other_fd_, flock_range(F_WRLCK), F_OFD_SETLK));
  lock = flock_range(F_RDLCK);
  ASSERT_EQ(0, myfs_lock(task_, fd_, F_OFD_GETLK, &lock));
  EXPECT_EQ(-1, lock.l_pid);
}

// Of flock, POSIX and open file locks, held and wanted, by two owners: who keeps whom out.
TEST_F(Locks, flock_stands_alone_and_the_others_see_one_another) {
  enum Kind { kPosix, kOfd, kFlock };
  auto take = [&](myfs_task* task, int fd, Kind kind, bool write) {
    if (kind == kFlock) return myfs_flock(task, fd, (write ? LOCK_EX : LOCK_SH) | LOCK_NB);
    return set(task, fd, flock_range(write ? F_WRLCK : F_RDLCK),
               kind == kOfd ? F_OFD_SETLK : F_SETLK);
  };
  auto drop = [&](myfs_task* task, int fd, Kind kind) {
    if (kind == kFlock) return myfs_flock(task, fd, LOCK_UN);
    return set(task, fd, flock_range(F_UNLCK), kind == kOfd ? F_OFD_SETLK : F_SETLK);
  };
  for (Kind held : {kPosix, kOfd, kFlock}) {
    for (Kind wanted : {kPosix, kOfd, kFlock}) {
      for (int writes = 0; writes < 4; ++writes) {
        const bool conflict = writes != 0 && (held == kFlock) == (wanted == kFlock);
        ASSERT_EQ(0, take(task_, fd_, held, (writes & 1) != 0));
        EXPECT_EQ(conflict ? -EAGAIN : 0, take(other_, other_fd_, wanted, (writes & 2) != 0))
            << held << " " << wanted << " " << writes;
        ASSERT_EQ(0, drop(other_, other_fd_, wanted));
        ASSERT_EQ(0, drop(task_, fd_, held));
      }
    }
  }
}

}  // namespace
}  // namespace myfs::test
