// Asynchronous operations: told once, whatever happens.
#include "tests/posix/async_test.h"

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <set>
#include <thread>

namespace myfs::test {
namespace {

constexpr size_t kPage = 4096;

// Text in which each page differs from all others.
std::string pages(size_t count) {
  std::string text;
  text.reserve(count * kPage);
  for (size_t i = 0; i < count; ++i) {
    std::string page = "page " + std::to_string(i) + " ";
    page.resize(kPage, static_cast<char>('a' + i % 26));
    text += page;
  }
  return text;
}

// ---- what is told

TEST_F(AsyncTest, AWarmReadIsOverAtOnce) {
  make_file("f", "hello");
  int fd = open("f", O_RDONLY);
  EXPECT_EQ("hello", pread(fd, 100, 0));
  char buffer[16];
  Told told;
  int64_t result = -1;
  myfs_op op = told.op();
  op.at_once = &result;
  EXPECT_EQ(1, myfs_async_pread(queue_, &op, fd, buffer, sizeof buffer, 1));
  EXPECT_EQ(4, result);
  EXPECT_EQ("ello", std::string(buffer, 4));
  EXPECT_EQ(0, told.times.load());
  EXPECT_FALSE(is_readable(queue_));
  close(fd);
}

TEST_F(AsyncTest, WarmStatOpenAndAbsenceAreOverAtOnce) {
  make_file("f", "hello");
  (void)stat("f");
  struct stat st;
  EXPECT_EQ(-ENOENT, myfs_stat(task_, "absent", &st));
  Told told;
  int64_t result = -1;
  myfs_op op = told.op();
  op.at_once = &result;
  EXPECT_EQ(1, myfs_async_stat(queue_, &op, "f", &st));
  EXPECT_EQ(0, result);
  EXPECT_EQ(5, st.st_size);
  EXPECT_EQ(1, myfs_async_stat(queue_, &op, "absent", &st));
  EXPECT_EQ(-ENOENT, result);
  EXPECT_NE(std::string::npos, last_message().find("stat")) << last_message();
  EXPECT_EQ(1, myfs_async_open(queue_, &op, "f", O_RDONLY, 0));
  ASSERT_GE(result, 0);
  close(static_cast<int>(result));
}

TEST_F(AsyncTest, WhatIsOverAtOnceIsToldByTheCallbackUnlessAskedFor) {
  make_file("f", "hello");
  (void)stat("f");
  struct stat st;
  Told told;
  myfs_op op = told.op();
  EXPECT_EQ(0, myfs_async_stat(queue_, &op, "f", &st));
  EXPECT_EQ(0, told.times.load());  // not inside the submission
  EXPECT_EQ(0, wait_for(told));
}

TEST_F(AsyncTest, EveryKindOfCallWorks) {
  auto run = [&](auto submit) {
    Told told;
    myfs_op op = told.op();
    EXPECT_EQ(0, submit(&op)) << last_message();
    return wait_for(told);
  };
  const auto fd = static_cast<int>(
      run([&](auto* op) { return myfs_async_open(queue_, op, "f", O_RDWR | O_CREAT, 0644); }));
  ASSERT_GE(fd, 0);
  EXPECT_EQ(5, run([&](auto* op) { return myfs_async_write(queue_, op, fd, "hello", 5); }));
  EXPECT_EQ(3, run([&](auto* op) { return myfs_async_pwrite(queue_, op, fd, "HEL", 3, 0); }));
  std::vector<char> a(2), b(9);
  iovec iov[] = {{a.data(), a.size()}, {b.data(), b.size()}};
  EXPECT_EQ(5, run([&](auto* op) { return myfs_async_preadv(queue_, op, fd, iov, 2, 0); }));
  EXPECT_EQ("HELlo", std::string(a.data(), 2) + std::string(b.data(), 3));
  EXPECT_EQ(2, run([&](auto* op) { return myfs_async_lseek(queue_, op, fd, 2, SEEK_SET); }));
  EXPECT_EQ(3, run([&](auto* op) { return myfs_async_read(queue_, op, fd, b.data(), 9); }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_readv(queue_, op, fd, iov, 2); }));
  iov[0] = {a.data(), 2};
  EXPECT_EQ(2, run([&](auto* op) { return myfs_async_pwritev(queue_, op, fd, iov, 1, 5); }));
  EXPECT_EQ(2, run([&](auto* op) { return myfs_async_writev(queue_, op, fd, iov, 1); }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_fsync(queue_, op, fd); }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_fdatasync(queue_, op, fd); }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_ftruncate(queue_, op, fd, 4); }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_truncate(queue_, op, "f", 3); }));
  EXPECT_EQ(fd + 7, run([&](auto* op) { return myfs_async_dup2(queue_, op, fd, fd + 7); }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_close(queue_, op, fd + 7); }));
  struct stat st;
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_fstat(queue_, op, fd, &st); }));
  EXPECT_EQ(3, st.st_size);
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_lstat(queue_, op, "f", &st); }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_chmod(queue_, op, "f", 0600); }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_fchmod(queue_, op, fd, 0640); }));
  EXPECT_EQ(0640, mode("f"));
  const uid_t none = static_cast<uid_t>(-1);
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_chown(queue_, op, "f", none, none); }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_lchown(queue_, op, "f", none, none); }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_fchown(queue_, op, fd, none, none); }));
  const timespec times[2] = {{1, 2}, {3, 4}};
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_utimens(queue_, op, "f", times, 0); }));
  EXPECT_EQ(3, stat("f").st_mtim.tv_sec);
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_futimens(queue_, op, fd, nullptr); }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_access(queue_, op, "f", R_OK); }));
  struct statfs sfs;
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_statfs(queue_, op, "f", &sfs); }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_fstatfs(queue_, op, fd, &sfs); }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_close(queue_, op, fd); }));
  const auto made =
      static_cast<int>(run([&](auto* op) { return myfs_async_creat(queue_, op, "g", 0600); }));
  ASSERT_GE(made, 0);
  close(made);
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_sync(queue_, op); }));
}

TEST_F(AsyncTest, EveryKindOfNameCallWorks) {
  auto run = [&](auto submit) {
    Told told;
    myfs_op op = told.op();
    EXPECT_EQ(0, submit(&op)) << last_message();
    return wait_for(told);
  };
  make_file("f");
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_mkdir(queue_, op, "d", 0755); }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_rename(queue_, op, "f", "d/f"); }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_rename2(queue_, op, "d/f", "f", 1); }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_link(queue_, op, "f", "d/l"); }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_symlink(queue_, op, "d/l", "s"); }));
  char buffer[300];
  EXPECT_EQ(3, run([&](auto* op) { return myfs_async_readlink(queue_, op, "s", buffer, 300); }));
  EXPECT_EQ("d/l", std::string(buffer, 3));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_mknod(queue_, op, "p", S_IFIFO | 0600, 0); }));
  EXPECT_EQ(0, run([&](auto* op) {
              return myfs_async_setxattr(queue_, op, "f", "user.a", "v", 1, 0, 0);
            }));
  EXPECT_EQ(1, run([&](auto* op) {
              return myfs_async_getxattr(queue_, op, "f", "user.a", buffer, 9, 0);
            }));
  EXPECT_EQ(7, run([&](auto* op) { return myfs_async_listxattr(queue_, op, "f", buffer, 9, 0); }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_removexattr(queue_, op, "f", "user.a", 0); }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_unlink(queue_, op, "s"); }));
  myfs_dir* dir = nullptr;
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_opendir(queue_, op, "d", &dir); }));
  std::set<std::string> names;
  myfs_dirent entry;
  while (run([&](auto* op) { return myfs_async_readdir(queue_, op, dir, &entry); }) == 1) {
    names.insert(entry.name);
  }
  EXPECT_EQ((std::set<std::string>{".", "..", "l"}), names);
  EXPECT_EQ(0, myfs_seekdir(dir, 0));
  struct stat st;
  EXPECT_EQ(1, run([&](auto* op) { return myfs_async_readdirplus(queue_, op, dir, &entry, &st); }));
  EXPECT_EQ(entry.ino, st.st_ino);
  const int fd = myfs_dirfd(dir);
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_fchdir(queue_, op, fd); }));
  EXPECT_EQ(static_cast<int64_t>(home().size()) + 3,
            run([&](auto* op) { return myfs_async_getcwd(queue_, op, buffer, 300); }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_chdir(queue_, op, ".."); }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_closedir(queue_, op, dir); }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_unlink(queue_, op, "d/l"); }));
  EXPECT_EQ(0, run([&](auto* op) {
              return myfs_async_mount(queue_, op, server_->url().c_str(), "d", nullptr);
            }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_umount(queue_, op, "d", 0); }));
  EXPECT_EQ(0, run([&](auto* op) { return myfs_async_rmdir(queue_, op, "d"); }));
}

TEST_F(AsyncTest, AFailureIsDescribedInTheCallback) {
  Told told;
  myfs_op op = told.op();
  EXPECT_EQ(0, myfs_async_rmdir(queue_, &op, "absent"));
  EXPECT_EQ(-ENOENT, wait_for(told));
  EXPECT_EQ(ENOENT, told.error);
}

TEST_F(AsyncTest, WrongArgumentsAreTheOperationsResult) {
  Told told[4];
  myfs_op ops[4] = {told[0].op(), told[1].op(), told[2].op(), told[3].op()};
  EXPECT_EQ(0, myfs_async_pread(queue_, &ops[0], 1234, nullptr, 5, 0));
  EXPECT_EQ(0, myfs_async_unlink(queue_, &ops[1], nullptr));
  EXPECT_EQ(0, myfs_async_writev(queue_, &ops[2], 1234, nullptr, 3));
  char c;
  EXPECT_EQ(0, myfs_async_pread(queue_, &ops[3], 1234, &c, 1, 0));
  EXPECT_EQ(-EINVAL, wait_for(told[0]));
  EXPECT_EQ(-EINVAL, wait_for(told[1]));
  EXPECT_EQ(-EINVAL, wait_for(told[2]));
  EXPECT_EQ(-EBADF, wait_for(told[3]));
}

// ---- reads

TEST_F(AsyncTest, ColdReadsBringTheContent) {
  constexpr size_t kPages = 300;
  const std::string text = pages(kPages) + "tail";
  make_file("f", text);
  forget_everything();
  int fd = open("f", O_RDONLY);
  struct Part {
    Told told;
    off_t offset;
    std::string got;
  };
  std::deque<Part> parts;
  for (size_t at = 0, size = 1; at < text.size() + kPage; at += size, size = (size * 7) % 30'011) {
    Part& part = parts.emplace_back();
    part.offset = static_cast<off_t>(at);
    part.got.resize(size + 100);
    myfs_op op = part.told.op();
    EXPECT_EQ(0, myfs_async_pread(queue_, &op, fd, part.got.data(), part.got.size(), part.offset));
  }
  for (Part& part : parts) {
    const int64_t n = wait_for(part.told);
    ASSERT_GE(n, 0) << error_text(n);
    const auto at = std::min(static_cast<size_t>(part.offset), text.size());
    EXPECT_EQ(text.substr(at, part.got.size()), part.got.substr(0, static_cast<size_t>(n)))
        << "at " << at;
  }
  close(fd);
}

TEST_F(AsyncTest, EndOfFileAndNothingAreZero) {
  make_file("f", "hello");
  make_file("empty", "");
  forget_everything();
  int fd = open("f", O_RDONLY), empty = open("empty", O_RDONLY);
  char buffer[8];
  struct Case {
    int fd;
    size_t size;
    off_t offset;
  };
  for (Case c : {Case{fd, 8, 5}, Case{fd, 8, 1 << 20}, Case{fd, 0, 0}, Case{empty, 8, 0},
                 Case{empty, 0, 0}, Case{fd, 8, INT64_MAX}}) {
    Told told;
    myfs_op op = told.op();
    EXPECT_EQ(0, myfs_async_pread(queue_, &op, c.fd, buffer, c.size, c.offset));
    EXPECT_EQ(0, wait_for(told)) << c.size << " at " << c.offset;
  }
  Told told;
  myfs_op op = told.op();
  EXPECT_EQ(0, myfs_async_pwrite(queue_, &op, fd, buffer, 0, 0));
  EXPECT_EQ(-EBADF, wait_for(told));
  close(fd);
  close(empty);
}

TEST_F(AsyncTest, AReadSeesAWriteOfTheSameClientWholeOrNotAtAll) {
  constexpr size_t kSize = 64 * kPage;
  make_file("f", std::string(kSize, 'a'));
  int fd = open("f", O_RDWR);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (char c = 'a'; !stop.load(); c = c == 'z' ? 'a' : static_cast<char>(c + 1)) {
      const std::string text(kSize, c);
      EXPECT_EQ(static_cast<ssize_t>(kSize), myfs_pwrite(task_, fd, text.data(), kSize, 0));
    }
  });
  std::string got(kSize, '?');
  for (int i = 0; i < 300; ++i) {
    Told told;
    myfs_op op = told.op();
    EXPECT_EQ(0, myfs_async_pread(queue_, &op, fd, got.data(), kSize, 0));
    ASSERT_EQ(static_cast<int64_t>(kSize), wait_for(told));
    ASSERT_EQ(std::string::npos, got.find_first_not_of(got[0])) << i;
  }
  stop.store(true);
  writer.join();
  close(fd);
}

TEST_F(AsyncTest, TenThousandColdReadsOccupyNoThreads) {
  constexpr size_t kReads = 10'000;
  {
    const std::string text = pages(kReads);
    make_file("f", text);
  }
  forget_everything();
  int fd = open("f", O_RDONLY);
  ASSERT_EQ(0, myfs_async_destroy(queue_));
  queue_ = make_queue(MYFS_ASYNC_SERVICE, 64);
  std::vector<std::string> got(kReads, std::string(kPage, '?'));
  std::vector<Told> told(kReads);
  size_t order = 1;
  {
    Silence silence;
    for (size_t i = 0; i < kReads; ++i) {
      // Everywhere in the file, so that readahead helps nobody.
      order = (order + 7919) % kReads;
      myfs_op op = told[order].op();
      ASSERT_EQ(0, myfs_async_pread(queue_, &op, fd, got[order].data(), kPage,
                                    static_cast<off_t>(order * kPage)));
    }
    EXPECT_LE(threads_of_this_process(), 70);
    EXPECT_FALSE(is_readable(queue_));
  }
  EXPECT_TRUE(serve_until(queue_, [&] {
    EXPECT_LE(threads_of_this_process(), 70);
    return std::all_of(told.begin(), told.end(), [](Told& t) { return t.times.load() > 0; });
  })) << state_of(task_);
  for (size_t i = 0; i < kReads; ++i) {
    ASSERT_EQ(1, told[i].times.load()) << i;
    ASSERT_EQ(static_cast<int64_t>(kPage), told[i].result.load()) << i;
    ASSERT_TRUE(got[i].starts_with("page " + std::to_string(i) + " ")) << i << got[i].substr(0, 20);
  }
  close(fd);
}

// ---- cancel, deadlines, ends

TEST_F(AsyncTest, ACancelledReadIsToldAtOnceAndLeavesItsBufferAlone) {
  make_file("f", pages(2));
  forget_everything();
  int fd = open("f", O_RDONLY);
  myfs_cancel* cancel = myfs_cancel_create();
  const myfs_call call{sizeof call, nullptr, 0, cancel};
  std::string buffer(kPage, '?');
  Told told, also;
  Silence silence;
  myfs_op op = told.op(&call), op2 = also.op(&call);
  EXPECT_EQ(0, myfs_async_pread(queue_, &op, fd, buffer.data(), kPage, 0));
  EXPECT_EQ(0, myfs_async_mkdir(queue_, &op2, "d", 0755));
  EXPECT_FALSE(is_readable(queue_));
  myfs_cancel_fire(cancel);
  EXPECT_EQ(-ECANCELED, wait_for(told));
  EXPECT_EQ(ECANCELED, told.error);
  EXPECT_EQ(-ECANCELED, wait_for(also));
  silence.end();
  EXPECT_EQ(pages(1).substr(0, 100), pread(fd, 100, 0));
  EXPECT_EQ(std::string(kPage, '?'), buffer);
  Told late;
  myfs_op op3 = late.op(&call);
  EXPECT_EQ(0, myfs_async_mkdir(queue_, &op3, "e", 0755));
  EXPECT_EQ(-ECANCELED, wait_for(late));
  myfs_cancel_destroy(cancel);
  close(fd);
}

TEST_F(AsyncTest, ADeadlineEndsWhatWaitsAndWhatWasNotBegun) {
  use_queue(MYFS_ASYNC_SERVICE, 1);
  make_file("f", pages(2));
  forget_everything();
  int fd = open("f", O_RDONLY);
  use_queue(MYFS_ASYNC_SERVICE, 1);
  char c;
  Told slow, read, queued;
  const myfs_call call{sizeof call, nullptr, 30, nullptr};
  Silence silence;
  myfs_op op = slow.op();
  EXPECT_EQ(0, myfs_async_mkdir(queue_, &op, "d", 0755));  // takes the only worker
  op = queued.op(&call);
  EXPECT_EQ(0, myfs_async_mkdir(queue_, &op, "e", 0755));
  op = read.op(&call);
  EXPECT_EQ(0, myfs_async_pread(queue_, &op, fd, &c, 1, 0));
  EXPECT_EQ(-ETIMEDOUT, wait_for(queued));
  EXPECT_EQ(-ETIMEDOUT, wait_for(read));
  EXPECT_EQ(0, slow.times.load());
  silence.end();
  EXPECT_EQ(0, wait_for(slow));
  EXPECT_EQ(-ENOENT, myfs_access(task_, "e", F_OK));
  close(fd);
}

TEST_F(AsyncTest, ReadsGoOnWhileTheOnlyWorkerWaits) {
  make_file("f", pages(3));
  forget_everything();
  use_queue(MYFS_ASYNC_SERVICE, 1);
  // The worker waits for the lease that another client gives back when it is told to.
  myfs_task* other = nullptr;
  ASSERT_EQ(0, myfs_open_url(server_->url().c_str(), nullptr, &other));
  int fd = open("f", O_RDONLY);
  Told blocked, read;
  myfs_op op = blocked.op();
  std::string got(kPage, '?');
  {
    Silence silence;
    EXPECT_EQ(0, myfs_async_mkdir(queue_, &op, "d", 0755));
    op = read.op();
    EXPECT_EQ(0, myfs_async_pread(queue_, &op, fd, got.data(), kPage, kPage));
  }
  EXPECT_EQ(static_cast<int64_t>(kPage), wait_for(read));
  EXPECT_TRUE(got.starts_with("page 1 "));
  EXPECT_EQ(0, wait_for(blocked));
  EXPECT_EQ(0, myfs_task_destroy(other));
  close(fd);
}

TEST_F(AsyncTest, ThousandsOfOperationsGetThroughOneWorker) {
  use_queue(MYFS_ASYNC_SERVICE, 1);
  constexpr int kOps = 500;
  std::deque<Told> told(kOps);
  for (int i = 0; i < kOps; ++i) {
    myfs_op op = told[static_cast<size_t>(i)].op();
    ASSERT_EQ(0, myfs_async_mkdir(queue_, &op, ("d" + std::to_string(i)).c_str(), 0755));
  }
  for (Told& t : told) EXPECT_EQ(0, wait_for(t));
}

// What was under way when it ended was told once, as anything that can become of it.
void expect_each_told_once(std::deque<Told>& told, const std::set<int64_t>& allowed) {
  for (Told& t : told) {
    EXPECT_EQ(1, t.times.load());
    EXPECT_TRUE(allowed.contains(t.result.load())) << error_text(t.result.load());
  }
}

class AsyncEnds : public AsyncTest {
 protected:
  // Reads and changes that get no answer.
  void submit_some(std::deque<Told>& told, int fd) {
    for (int i = 0; i < 600; ++i) {
      myfs_op op = told.emplace_back().op();
      const off_t at = (i * 37 % 600) * static_cast<off_t>(kPage);
      ASSERT_EQ(0, myfs_async_pread(queue_, &op, fd, &bytes_[i], 1, at));
      if (i % 10 != 0) continue;
      myfs_op change = told.emplace_back().op();
      ASSERT_EQ(0, myfs_async_mkdir(queue_, &change, ("d" + std::to_string(i)).c_str(), 0755));
    }
  }
  void destroy_with_calls_under_way() {
    make_file("f", pages(600));
    forget_everything();
    int fd = open("f", O_RDONLY);
    std::deque<Told> told;
    {
      Silence silence;
      submit_some(told, fd);
      EXPECT_EQ(0, myfs_async_destroy(queue_));
    }
    queue_ = make_queue();
    expect_each_told_once(told, {-ECANCELED});
    close(fd);
  }
  char bytes_[600];
};

TEST_F(AsyncEnds, DestroyTellsAllThatIsUnderWay) { destroy_with_calls_under_way(); }

TEST_F(AsyncEnds, DestroyOfAQueueWithAThreadTellsAllThatIsUnderWay) {
  use_queue(MYFS_ASYNC_THREAD, 4);
  destroy_with_calls_under_way();
}

TEST_F(AsyncEnds, TheEndOfTheTaskEndsWhatIsUnderWay) {
  make_file("f", pages(600));
  forget_everything();
  int fd = open("f", O_RDONLY);
  std::deque<Told> told;
  {
    Silence silence;
    submit_some(told, fd);
    std::thread later([&] { silence.end(); });
    EXPECT_EQ(0, myfs_task_destroy(task_));
    later.join();
  }
  EXPECT_TRUE(is_readable(queue_));
  EXPECT_TRUE(serve_until(queue_, [&] { return !is_readable(queue_); }));
  expect_each_told_once(told, {-ECANCELED, 0, 1});
  EXPECT_EQ(0, myfs_async_destroy(queue_));
  ASSERT_EQ(0, myfs_open_url(server_->url().c_str(), nullptr, &task_)) << last_message();
  queue_ = make_queue();
}

TEST_F(AsyncEnds, AForcedUnmountEndsWhatIsUnderWay) {
  make_file("f", pages(600));
  forget_everything();
  int fd = open("f", O_RDONLY);
  std::deque<Told> told;
  {
    Silence silence;
    submit_some(told, fd);
    EXPECT_EQ(0, myfs_umount(task_, "/", MNT_FORCE)) << last_message();
    EXPECT_TRUE(serve_until(queue_, [&] {
      return std::all_of(told.begin(), told.end(), [](Told& t) { return t.times.load() > 0; });
    }));
  }
  expect_each_told_once(told, {-ENOTCONN, -EIO, -ENOENT});
  Told after;
  myfs_op op = after.op();
  char c;
  EXPECT_EQ(0, myfs_async_pread(queue_, &op, fd, &c, 1, 0));
  EXPECT_LT(wait_for(after), 0);
  EXPECT_EQ(0, myfs_close(task_, fd));
}

TEST_F(AsyncEnds, AClosedDescriptorsReadsGoOn) {
  make_file("f", pages(600));
  forget_everything();
  int fd = open("f", O_RDONLY);
  std::deque<Told> told;
  {
    Silence silence;
    submit_some(told, fd);
    EXPECT_EQ(0, myfs_close(task_, fd));
  }
  EXPECT_TRUE(serve_until(queue_, [&] {
    return std::all_of(told.begin(), told.end(), [](Told& t) { return t.times.load() > 0; });
  }));
  expect_each_told_once(told, {0, 1});
}

TEST_F(AsyncEnds, ALostServerEndsNothingTwice) {
  make_file("f", pages(600));
  forget_everything();
  int fd = open("f", O_RDONLY);
  std::deque<Told> told;
  server_->send_signal(SIGSTOP);
  submit_some(told, fd);
  restart_server();
  EXPECT_TRUE(serve_until(queue_, [&] {
    return std::all_of(told.begin(), told.end(), [](Told& t) { return t.times.load() > 0; });
  }));
  expect_each_told_once(told, {0, 1, -EIO});
  EXPECT_EQ(0, myfs_close(task_, fd));
}

TEST_F(AsyncTest, ManyThreadsAndCancelsTellEachOnce) {
  constexpr int kThreads = 4, kRounds = 25, kOps = 40;
  make_file("f", pages(kOps));
  forget_everything();
  use_queue(MYFS_ASYNC_THREAD, 3);
  std::atomic<int> wrong{0};
  auto work = [&](int thread) {
    for (int round = 0; round < kRounds; ++round) {
      const std::string dir = "t" + std::to_string(thread) + "." + std::to_string(round);
      int fd = myfs_open(task_, "f", O_RDONLY, 0);
      std::deque<Told> told(kOps);
      std::vector<char> bytes(kOps);
      myfs_cancel* cancel = myfs_cancel_create();
      const myfs_call call{sizeof call, nullptr, round % 3 == 0 ? 1 : 0, cancel};
      struct stat st[kOps];
      for (int i = 0; i < kOps; ++i) {
        Told& t = told[static_cast<size_t>(i)];
        myfs_op op = t.op(&call);
        int r = 0;
        if (i % 4 == 0) r = myfs_async_mkdir(queue_, &op, (dir + std::to_string(i)).c_str(), 0700);
        if (i % 4 == 1) r = myfs_async_stat(queue_, &op, (dir + "x").c_str(), &st[i]);
        if (i % 4 >= 2) r = myfs_async_pread(queue_, &op, fd, &bytes[i], 1, i * 4096);
        if (r != 0) ++wrong;
        if (i == kOps / 2 && round % 2 == 0) myfs_cancel_fire(cancel);
      }
      for (Told& t : told) {
        while (t.times.load() == 0) std::this_thread::yield();
      }
      for (Told& t : told) wrong += t.times.load() != 1;
      myfs_cancel_destroy(cancel);
      wrong += myfs_close(task_, fd) != 0;
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(0, wrong.load());
}

// ---- callbacks and the descriptor

TEST_F(AsyncTest, CallbacksMayCallAnything) {
  make_file("f", "hello");
  struct Chain {
    Chain(myfs_async* on, myfs_task* of) : queue(on), task(of) {}
    myfs_async* queue;
    myfs_task* task;
    std::atomic<int> left{200};
    struct stat st {};
    std::deque<Told> told;
    void next() {
      Told& t = told.emplace_back();
      t.then = [this](Told&) {
        EXPECT_EQ(0, myfs_stat(task, "f", &st));
        int fd = myfs_open(task, "f", O_RDONLY, 0);
        EXPECT_GE(fd, 0);
        EXPECT_EQ(0, myfs_close(task, fd));
        if (--left > 0) next();
      };
      myfs_op op = t.op();
      EXPECT_EQ(0, left % 2 == 0 ? myfs_async_stat(queue, &op, "f", &st)
                                 : myfs_async_chmod(queue, &op, "f", 0600));
    }
  };
  for (int mode : {MYFS_ASYNC_SERVICE, MYFS_ASYNC_THREAD}) {
    use_queue(mode, 0);
    Chain chain(queue_, task_);
    chain.next();
    if (mode == MYFS_ASYNC_SERVICE) {
      EXPECT_TRUE(serve_until(queue_, [&] { return chain.left == 0; }));
    } else {
      while (chain.left.load() > 0) std::this_thread::yield();
    }
    ASSERT_EQ(0, myfs_async_destroy(queue_));
    queue_ = make_queue();
    EXPECT_EQ(200u, chain.told.size());
    for (Told& t : chain.told) EXPECT_EQ(1, t.times.load());
  }
}

TEST_F(AsyncTest, CallbacksRunOnOneThreadThatIsNobodyElses) {
  use_queue(MYFS_ASYNC_THREAD, 0);
  make_file("f", "hello");
  std::deque<Told> told(100);
  std::set<std::thread::id> threads;  // the callback thread's
  struct stat st[100];
  for (size_t i = 0; i < 100; ++i) {
    told[i].then = [&](Told&) { threads.insert(std::this_thread::get_id()); };
    myfs_op op = told[i].op();
    ASSERT_EQ(0, i % 3 == 0 ? myfs_async_chmod(queue_, &op, "f", 0600)
                            : myfs_async_stat(queue_, &op, "f", &st[i]));
  }
  for (Told& t : told) {
    while (t.times.load() == 0) std::this_thread::yield();
  }
  ASSERT_EQ(0, myfs_async_destroy(queue_));
  queue_ = make_queue();
  EXPECT_EQ(1u, threads.size());
  EXPECT_FALSE(threads.contains(std::this_thread::get_id()));
}

TEST_F(AsyncTest, TheDescriptorIsReadableWhileSomethingWaits) {
  make_file("f", "hello");
  (void)stat("f");
  struct stat st[3];
  Told told[3];
  EXPECT_FALSE(is_readable(queue_));
  EXPECT_EQ(0, myfs_service(queue_, 1));
  for (int i = 0; i < 3; ++i) {
    myfs_op op = told[i].op();
    EXPECT_EQ(0, myfs_async_stat(queue_, &op, "f", &st[i]));
    EXPECT_TRUE(is_readable(queue_));
  }
  EXPECT_EQ(1, myfs_service(queue_, 1));
  EXPECT_TRUE(is_readable(queue_));
  // One that comes while two wait.
  Told more;
  myfs_op op = more.op();
  EXPECT_EQ(0, myfs_async_stat(queue_, &op, "f", &st[0]));
  EXPECT_EQ(2, myfs_service(queue_, 2));
  EXPECT_TRUE(is_readable(queue_));
  EXPECT_EQ(1, myfs_service(queue_, 100));
  EXPECT_FALSE(is_readable(queue_));
  EXPECT_EQ(0, myfs_service(queue_, 100));
  for (Told& t : told) EXPECT_EQ(1, t.times.load());
  EXPECT_EQ(1, more.times.load());
}

TEST_F(AsyncTest, TwoQueuesOfATaskAreTheirOwn) {
  myfs_async* other = make_queue();
  make_file("f", "hello");
  struct stat st;
  Told told;
  myfs_op op = told.op();
  EXPECT_EQ(0, myfs_async_stat(other, &op, "f", &st));
  EXPECT_FALSE(is_readable(queue_));
  EXPECT_TRUE(is_readable(other));
  EXPECT_EQ(0, myfs_async_destroy(other));
  EXPECT_EQ(1, told.times.load());
}

TEST_F(AsyncTest, CredentialsOfTheCallCountAndAreCopied) {
  if (::geteuid() != 0) return;
  make_file("secret", "x");
  ASSERT_EQ(0, myfs_chmod(task_, "secret", 0600));
  Told told;
  {
    gid_t groups[] = {4242};
    myfs_cred cred{sizeof cred, 1234, 1234, groups, 1};
    myfs_call call{sizeof call, &cred, 0, nullptr};
    myfs_op op = told.op(&call);
    std::string path = "secret";
    EXPECT_EQ(0, myfs_async_open(queue_, &op, path.c_str(), O_RDWR | O_CREAT, 0));
    path = "else";
    cred.uid = groups[0] = 0;
  }
  EXPECT_EQ(-EACCES, wait_for(told));
}

// ---- errors of the interface itself

using AsyncErrors = AsyncTest;

TEST_F(AsyncErrors, submit_EINVAL) {
  Told told;
  myfs_op op = told.op();
  EXPECT_EQ(-EINVAL, myfs_async_sync(nullptr, &op));
  EXPECT_EQ(-EINVAL, myfs_async_sync(queue_, nullptr));
  op.done = nullptr;
  EXPECT_EQ(-EINVAL, myfs_async_sync(queue_, &op));
  op = told.op();
  op.size = 1;
  EXPECT_EQ(-EINVAL, myfs_async_sync(queue_, &op));
  myfs_call call{1, nullptr, 0, nullptr};
  op = told.op(&call);
  EXPECT_EQ(-EINVAL, myfs_async_sync(queue_, &op));
  call = {sizeof call, nullptr, -1, nullptr};
  EXPECT_EQ(-EINVAL, myfs_async_sync(queue_, &op));
  EXPECT_EQ(-EINVAL, myfs_async_read(queue_, &op, 0, nullptr, 0));
  EXPECT_FALSE(is_readable(queue_));
  EXPECT_EQ(0, told.times.load());
}

TEST_F(AsyncErrors, submit_ESTALE) {
  Told told;
  myfs_op op = told.op();
  const pid_t child = ::fork();
  if (child == 0) {
    const bool good = myfs_async_sync(queue_, &op) == -ESTALE &&
                      myfs_service(queue_, 1) == -ESTALE && myfs_async_destroy(queue_) == 0;
    ::_exit(good ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(child, ::waitpid(child, &status, 0));
  EXPECT_EQ(0, status);
  ASSERT_EQ(0, myfs_task_destroy(task_));
  EXPECT_EQ(-ESTALE, myfs_async_sync(queue_, &op));
  ASSERT_EQ(0, myfs_open_url(server_->url().c_str(), nullptr, &task_));
}

TEST_F(AsyncErrors, submit_EAGAIN) {
  make_file("f", "hello");
  (void)stat("f");
  struct stat st;
  Told told;
  myfs_op op = told.op();
  int accepted = 0, result;
  while ((result = myfs_async_stat(queue_, &op, "f", &st)) == 0) ++accepted;
  EXPECT_EQ(-EAGAIN, result);
  EXPECT_EQ(262'144, accepted);
  EXPECT_EQ(1, myfs_service(queue_, 1));
  EXPECT_EQ(0, myfs_async_stat(queue_, &op, "f", &st));
  EXPECT_EQ(262'144, myfs_service(queue_, 1 << 30));
}

TEST_F(AsyncErrors, async_create_EINVAL) {
  myfs_async* queue = nullptr;
  EXPECT_EQ(-EINVAL, myfs_async_create(nullptr, nullptr, &queue));
  EXPECT_EQ(-EINVAL, myfs_async_create(task_, nullptr, nullptr));
  for (const myfs_async_options& options :
       {myfs_async_options{1, 0, 0}, myfs_async_options{sizeof(myfs_async_options), 2, 0},
        myfs_async_options{sizeof(myfs_async_options), 0, 65}}) {
    EXPECT_EQ(-EINVAL, myfs_async_create(task_, &options, &queue));
  }
  EXPECT_EQ(nullptr, queue);
}

TEST_F(AsyncErrors, async_create_EMFILE) {
  rlimit old;
  ASSERT_EQ(0, ::getrlimit(RLIMIT_NOFILE, &old));
  const rlimit none{3, old.rlim_max};
  ASSERT_EQ(0, ::setrlimit(RLIMIT_NOFILE, &none));
  myfs_async* queue = nullptr;
  EXPECT_EQ(-EMFILE, myfs_async_create(task_, nullptr, &queue));
  ASSERT_EQ(0, ::setrlimit(RLIMIT_NOFILE, &old));
}

TEST_F(AsyncErrors, async_destroy_EDEADLK) {
  for (int mode : {MYFS_ASYNC_SERVICE, MYFS_ASYNC_THREAD}) {
    use_queue(mode, 0);
    Told told;
    int destroyed = 0;
    told.then = [&](Told&) { destroyed = myfs_async_destroy(queue_); };
    myfs_op op = told.op();
    EXPECT_EQ(0, myfs_async_sync(queue_, &op));
    if (mode == MYFS_ASYNC_SERVICE) (void)wait_for(told);
    while (told.times.load() == 0) std::this_thread::yield();
    EXPECT_EQ(-EDEADLK, destroyed);
  }
}

TEST_F(AsyncErrors, async_fd_EINVAL) {
  EXPECT_EQ(-EINVAL, myfs_async_fd(nullptr));
  use_queue(MYFS_ASYNC_THREAD, 0);
  EXPECT_EQ(-EINVAL, myfs_async_fd(queue_));
}

TEST_F(AsyncErrors, service_EINVAL) {
  EXPECT_EQ(-EINVAL, myfs_service(nullptr, 1));
  EXPECT_EQ(-EINVAL, myfs_service(queue_, 0));
}

TEST_F(AsyncErrors, service_EDEADLK) {
  Told told;
  int served = 0;
  told.then = [&](Told&) { served = myfs_service(queue_, 1); };
  myfs_op op = told.op();
  EXPECT_EQ(0, myfs_async_sync(queue_, &op));
  (void)wait_for(told);
  EXPECT_EQ(-EDEADLK, served);
}

}  // namespace
}  // namespace myfs::test
