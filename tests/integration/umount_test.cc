// A mount that ends while it is used: open files, dirty pages, calls, asynchronous reads and waits
// for locks under way, in every way in which a mount can end, again and again. The server is in
// the process, so that what is left behind on either side is found by the sanitizers.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <myfs/async.h>
#include <sys/file.h>
#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <thread>

#include "tests/support/myfsd/client.h"
#include "tests/support/myfsd/process.h"
#include "tests/support/myfsd/temp_dir.h"

namespace myfs::test {
namespace {

constexpr size_t kFile_bytes = 300'000, kPiece_bytes = 20'000;
constexpr int kFiles = 8, kAsyncReads = 16;

int rounds() {
  const char* length = std::getenv("MYFS_LONG");
  return length != nullptr && std::string(length) == "1" ? 10'000 : 100;
}

std::string file_name(uint64_t number) { return "/f" + std::to_string(number % kFiles); }

// Ends it after `step` has failed with one of `expected`, which a test that goes on must see.
class Caller {
 public:
  Caller(std::set<int64_t> expected, std::function<int64_t(uint64_t)> step)
      : expected_(std::move(expected)), thread_([this, step = std::move(step)] { run(step); }) {}
  ~Caller() {
    stop_ = true;
    thread_.join();
  }
  // Until the first call has returned, or the caller is about to make the one that waits.
  void wait_until_busy() { busy_.wait(false); }
  void stop() { stop_ = true; }

 private:
  void run(const std::function<int64_t(uint64_t)>& step) {
    int64_t result = 0;
    for (uint64_t number = 0; result >= 0 && !stop_; ++number) {
      result = step(number);
      busy_ = true;
      busy_.notify_all();
    }
    EXPECT_TRUE(result >= 0 || expected_.contains(result)) << error_text(result);
  }

  const std::set<int64_t> expected_;
  std::atomic<bool> busy_{false}, stop_{false};
  std::thread thread_;
};

// The places of asynchronous reads.
struct Read {
  std::array<char, kPiece_bytes> buffer;
  std::atomic<int> told{0};
  static void done(void* self, int64_t) { static_cast<Read*>(self)->told.fetch_add(1); }
};

// What a forced unmount loses is told each time.
void log_all_but_losses(void*, int, const char* line) {
  if (std::strstr(line, "lost what was written") == nullptr) std::fprintf(stderr, "%s\n", line);
}

class Umount : public testing::Test {
 protected:
  void SetUp() override {
    myfs_set_log(log_all_but_losses, nullptr, 0);
    keeper_ = std::make_unique<Client>(url());
    for (int i = 0; i < kFiles; ++i) {
      ASSERT_EQ(0, keeper_->put(file_name(i), std::string(kFile_bytes, 'x')));
    }
    ASSERT_EQ(0, myfs_mkdir(*keeper_, "/d", 0755));
    lock_fd_ = myfs_open(*keeper_, "/f0", O_RDWR, 0);
    ASSERT_GE(lock_fd_, 0);
    ASSERT_EQ(0, myfs_flock(*keeper_, lock_fd_, LOCK_EX));
  }
  void TearDown() override { myfs_set_log(nullptr, nullptr, 1); }
  std::string url() const { return "embedded:" + (dir_ / "data"); }

  TempDir dir_;
  std::unique_ptr<Client> keeper_;  // keeps the server
  int lock_fd_ = -1;
};

// One mount, used by several threads.
class Round {
 public:
  Round(const std::string& url, uint64_t number, const std::string& at) : number_(number), at_(at) {
    EXPECT_EQ(0, myfs_open_url(url.c_str(), nullptr, &task_)) << last_message();
    if (!at_.empty()) {
      EXPECT_EQ(0, myfs_mount(task_, url.c_str(), at_.c_str(), nullptr)) << last_message();
    }
    cancel_ = myfs_cancel_create();
    fd_ = myfs_open(task_, (at_ + file_name(number)).c_str(), O_RDWR, 0);
    other_fd_ = myfs_open(task_, (at_ + file_name(number + 1)).c_str(), O_RDONLY, 0);
    lock_fd_ = myfs_open(task_, (at_ + "/f0").c_str(), O_RDWR, 0);
    EXPECT_TRUE(fd_ >= 0 && other_fd_ >= 0 && lock_fd_ >= 0) << last_message();
    EXPECT_EQ(0, myfs_opendir(task_, (at_ + "/").c_str(), &dir_)) << last_message();
    EXPECT_EQ(1, myfs_readdir(dir_, &entry_));
  }
  ~Round() {
    EXPECT_EQ(0, myfs_async_destroy(queue_));
    for (const Read& read : reads_) EXPECT_EQ(1, read.told.load());
    myfs_cancel_destroy(cancel_);
  }

  // `errors`: how the end of the mount may show.
  void use(const std::set<int64_t>& errors) {
    errors_ = errors;
    callers_.emplace_back(errors, [this](uint64_t n) { return write_some(n); });
    callers_.emplace_back(errors, [this](uint64_t n) { return read_some(n); });
    callers_.emplace_back(errors, [this](uint64_t n) { return walk(n); });
    std::set<int64_t> waits = errors;
    waits.insert(-ECANCELED);
    callers_.emplace_back(waits, [this](uint64_t n) -> int64_t {
      if (n == 0) return 0;  // says that it is about to wait
      const myfs_call call{sizeof call, nullptr, 0, cancel_};
      return myfs_flock_x(task_, &call, lock_fd_, LOCK_EX);
    });
    for (Caller& caller : callers_) caller.wait_until_busy();
  }
  void read_asynchronously() {
    const myfs_async_options options{sizeof options,
                                     number_ % 2 == 0 ? MYFS_ASYNC_THREAD : MYFS_ASYNC_SERVICE, 0};
    EXPECT_EQ(0, myfs_async_create(task_, &options, &queue_));
    reads_ = std::deque<Read>(kAsyncReads);
    off_t offset = 0;
    for (Read& read : reads_) {
      const myfs_op op{sizeof op, nullptr, &Read::done, &read, nullptr};
      EXPECT_EQ(0, myfs_async_pread(queue_, &op, other_fd_, read.buffer.data(), kPiece_bytes,
                                    offset += kPiece_bytes));
    }
  }
  int umount(int flags) { return myfs_umount(task_, at_.empty() ? "/" : at_.c_str(), flags); }
  void end_calls() {
    for (Caller& caller : callers_) caller.stop();
    myfs_cancel_fire(cancel_);
    callers_.clear();
  }
  // Whatever is open stays so.
  int destroy() {
    EXPECT_EQ(0, myfs_closedir(dir_));
    return myfs_task_destroy(task_);
  }

 private:
  int64_t write_some(uint64_t n) {
    const std::string piece(kPiece_bytes, static_cast<char>('a' + n % 26));
    const ssize_t count =
        myfs_pwrite(task_, fd_, piece.data(), piece.size(), static_cast<off_t>(n % 7 * 30'011));
    if (count < 0) return count;
    return n % 5 == 4 ? myfs_fsync(task_, fd_) : 0;
  }
  int64_t read_some(uint64_t n) {
    std::string piece(kPiece_bytes, '\0');
    return myfs_pread(task_, other_fd_, piece.data(), piece.size(),
                      static_cast<off_t>(n % 13 * 20'011));
  }
  int64_t walk(uint64_t n) {
    struct stat st;
    if (int result = myfs_stat(task_, (at_ + file_name(n)).c_str(), &st); result < 0) return result;
    const std::string mine = at_ + "/d/" + std::to_string(number_ % 16);
    const int fd = myfs_open(task_, mine.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    if (fd < 0) return fd;
    return myfs_unlink(task_, mine.c_str());  // and stays open
  }

  const uint64_t number_;
  const std::string at_;
  std::set<int64_t> errors_;
  myfs_task* task_ = nullptr;
  myfs_cancel* cancel_ = nullptr;
  myfs_async* queue_ = nullptr;
  myfs_dir* dir_ = nullptr;
  myfs_dirent entry_{};
  int fd_ = -1, other_fd_ = -1, lock_fd_ = -1;
  std::deque<Read> reads_;
  std::deque<Caller> callers_;
};

const std::set<int64_t> kNoErrors = {};
// EIO: of the one who was writing, whose pages are lost.
const std::set<int64_t> kGone = {-ENOTCONN, -ENOENT, -EIO};

void force(Round& round) {
  round.use(kGone);
  EXPECT_EQ(-EBUSY, round.umount(0));
  EXPECT_EQ(0, round.umount(MNT_FORCE)) << last_message();
  round.end_calls();
  (void)round.destroy();  // what was not written is lost, and may be told
}

void detach(Round& round) {
  round.use({-ENOENT});
  EXPECT_EQ(0, round.umount(MNT_DETACH)) << last_message();
  round.end_calls();
  EXPECT_EQ(0, round.destroy()) << last_message();
}

void leave_open(Round& round) {
  round.use(kNoErrors);
  round.end_calls();
  EXPECT_EQ(0, round.destroy()) << last_message();
}

void force_with_asynchronous_reads(Round& round) {
  round.read_asynchronously();
  round.use(kGone);
  EXPECT_EQ(0, round.umount(MNT_FORCE)) << last_message();
  round.end_calls();
  (void)round.destroy();
}

void leave_asynchronous_reads(Round& round) {
  round.read_asynchronously();
  round.use(kNoErrors);
  round.end_calls();
  EXPECT_EQ(0, round.destroy()) << last_message();
}

constexpr void (*kEnds[])(Round&) = {force, detach, leave_open, force_with_asynchronous_reads,
                                     leave_asynchronous_reads};

// The mount of the task itself, and one below it that stays.
TEST_F(Umount, OpenFilesAndCallsUnderWay) {
  for (int i = 0; i < rounds() && !HasFailure(); ++i) {
    SCOPED_TRACE("round " + std::to_string(i));
    const auto number = static_cast<uint64_t>(i);
    Round round(url(), number, i % 2 == 0 ? "" : "/d");
    kEnds[number % std::size(kEnds)](round);
  }
  // Nobody of them has a lock, or is waited for.
  EXPECT_EQ(0, myfs_flock(*keeper_, lock_fd_, LOCK_UN));
  EXPECT_EQ(0, myfs_flock(*keeper_, lock_fd_, LOCK_EX | LOCK_NB));
  for (int i = 0; i < kFiles; ++i) {
    EXPECT_EQ(kFile_bytes, static_cast<size_t>(keeper_->stat(file_name(i)).st_size));
  }
}

// A session that nobody ends keeps what it holds for an hour here.
TEST(UmountByForce, OthersNeedNotWaitForTheEndOfTheLease) {
  constexpr int64_t kDeadline_ms = 60'000;
  constexpr int kRounds = 50;  // the end of the connection must not overtake that of the session
  TempDir dir;
  MyfsdProcess server(dir / "data", {"--lease-term", "3600"});
  ASSERT_TRUE(server.start()) << server.output();
  const myfs_call soon{sizeof soon, nullptr, kDeadline_ms, nullptr};
  Client two(server.url());
  ASSERT_EQ(0, two.put("/f", "old"));
  const int wanted = two.open("/f", O_RDWR);
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    Client one(server.url());
    const int held = one.open("/f", O_RDWR), other = one.open("/f", O_RDWR);
    ASSERT_EQ(0, myfs_flock(one, held, LOCK_EX));
    ASSERT_EQ(3, myfs_pwrite(one, held, "one", 3, 0));
    {
      // A call under way, which ends with the mount.
      std::thread waits([&] { EXPECT_EQ(-ENOTCONN, myfs_flock(one, other, LOCK_EX)); });
      EXPECT_EQ(0, myfs_umount(one, "/", MNT_FORCE)) << last_message();
      waits.join();
    }
    EXPECT_EQ(0, myfs_flock_x(two, &soon, wanted, LOCK_EX)) << last_message();
    EXPECT_EQ("one", two.get(wanted));
    EXPECT_EQ(3, myfs_pwrite_x(two, &soon, wanted, "two", 3, 0)) << last_message();
    EXPECT_EQ("two", two.get(wanted));
    EXPECT_EQ(0, myfs_flock(two, wanted, LOCK_UN));
    EXPECT_EQ(-ENOTCONN, myfs_pwrite(one, held, "new", 3, 0));
  }
}

}  // namespace
}  // namespace myfs::test
