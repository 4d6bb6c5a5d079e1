// Asynchronous operations as awaitables.
#include <myfs/async.hpp>

#include <array>

#include "tests/posix/async_test.h"

namespace myfs::test {
namespace {

class AwaitTest : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    auto task = Task::open(server_->url());
    ASSERT_TRUE(task.ok());
    own_.emplace(std::move(*task));
    ASSERT_TRUE(own_->chdir(home()).ok());
    auto async = Async::create(*own_);
    ASSERT_TRUE(async.ok());
    async_.emplace(std::move(*async));
  }
  void TearDown() override {
    async_.reset();
    own_.reset();
    ApiTest::TearDown();
  }
  void serve() {
    EXPECT_TRUE(serve_until(async_->get(), [&] { return running_ == 0; }));
  }

  std::optional<Task> own_;
  std::optional<Async> async_;
  int running_ = 0;
};

TEST_F(AwaitTest, AFileIsMadeWrittenAndRead) {
  std::string got;
  auto work = [&]() -> Detached {
    ++running_;
    Result<int> fd = co_await async_->open("f", O_RDWR | O_CREAT, 0644);
    EXPECT_TRUE(fd.ok());
    const std::string text = "hello";
    Result<size_t> written = co_await async_->write(*fd, std::as_bytes(std::span(text)));
    EXPECT_EQ(5u, *written);
    Result<void> synced = co_await async_->fsync(*fd);
    EXPECT_TRUE(synced.ok());
    std::array<std::byte, 16> buffer;
    Result<size_t> count = co_await async_->pread(*fd, buffer, 1);
    got.assign(reinterpret_cast<const char*>(buffer.data()), *count);
    Result<struct stat> st = co_await async_->fstat(*fd);
    EXPECT_EQ(5, st->st_size);
    EXPECT_TRUE((co_await async_->close(*fd)).ok());
    --running_;
  };
  work();
  serve();
  EXPECT_EQ("ello", got);
}

TEST_F(AwaitTest, AFileIsCloned) {
  std::string got;
  auto work = [&]() -> Detached {
    ++running_;
    Result<int> from = co_await async_->open("from", O_RDWR | O_CREAT, 0644);
    Result<int> to = co_await async_->open("to", O_RDWR | O_CREAT, 0644);
    const std::string text = "hello";
    EXPECT_TRUE((co_await async_->write(*from, std::as_bytes(std::span(text)))).ok());
    EXPECT_TRUE((co_await async_->clone_file(*from, *to)).ok());
    EXPECT_TRUE((co_await async_->clone_file_range(*from, 0, *to, 65'536, 5)).ok());
    Result<void> refused = co_await async_->clone_file_range(*from, 1, *to, 0, 0);
    EXPECT_EQ(EINVAL, refused.error().value());
    std::array<std::byte, 16> buffer;
    Result<size_t> count = co_await async_->pread(*to, buffer, 65'537);
    got.assign(reinterpret_cast<const char*>(buffer.data()), *count);
    EXPECT_TRUE((co_await async_->close(*from)).ok());
    EXPECT_TRUE((co_await async_->close(*to)).ok());
    --running_;
  };
  work();
  serve();
  EXPECT_EQ("ello", got);
}

TEST_F(AwaitTest, ClonesAreMadeOfFilesToo) {
  auto from = own_->open_file("from", O_RDWR | O_CREAT, 0644);
  auto to = own_->open_file("to", O_RDWR | O_CREAT, 0644);
  ASSERT_TRUE(from->write("text").ok());
  ASSERT_TRUE(from->clone_to(*to).ok());
  ASSERT_TRUE(from->clone_to(*to, 4, 0, 65'536).ok());
  std::array<std::byte, 16> buffer;
  EXPECT_EQ(4u, *to->pread(buffer, 65'536));
  EXPECT_EQ(EINVAL, from->clone_to(*to, 5, 0, 0).error().value());
}

TEST_F(AwaitTest, WhatTheCacheAnswersDoesNotSuspend) {
  ASSERT_TRUE(own_->open_file("f", O_RDWR | O_CREAT, 0644).ok());
  ASSERT_TRUE(own_->stat("f").ok());
  bool over = false;
  auto work = [&]() -> Detached {
    Result<struct stat> st = co_await async_->stat("f");
    EXPECT_TRUE(st.ok());
    over = true;
  };
  work();
  EXPECT_TRUE(over);
  EXPECT_EQ(0, async_->service());
}

TEST_F(AwaitTest, AFailureIsAnErrorWithItsDescription) {
  auto work = [&]() -> Detached {
    ++running_;
    Result<void> result = co_await async_->rmdir("absent");
    EXPECT_FALSE(result.ok());
    EXPECT_EQ(ENOENT, result.error().value());
    EXPECT_NE(nullptr, result.error().detail());
    Result<size_t> bad = co_await async_->pread(12345, {}, 0);
    EXPECT_EQ(EBADF, bad.error().value());
    --running_;
  };
  work();
  serve();
}

TEST_F(AwaitTest, ManyCoroutinesRunInOneThread) {
  int made = 0;
  auto work = [&](int i) -> Detached {
    ++running_;
    const std::string name = "d" + std::to_string(i);
    EXPECT_TRUE((co_await async_->mkdir(name)).ok());
    Result<struct stat> st = co_await async_->stat(name);
    EXPECT_TRUE(st.ok() && S_ISDIR(st->st_mode));
    EXPECT_TRUE((co_await async_->rename(name, name + "x")).ok());
    EXPECT_EQ(ENOENT, (co_await async_->lstat(name)).error().value());
    ++made;
    --running_;
  };
  for (int i = 0; i < 100; ++i) work(i);
  serve();
  EXPECT_EQ(100, made);
}

TEST_F(AwaitTest, ACancelledOneIsResumedWithTheError) {
  CancelToken token;
  auto work = [&]() -> Detached {
    ++running_;
    Result<void> result = co_await async_->mkdir("d", 0755, {.cancel = &token});
    EXPECT_EQ(ECANCELED, result.error().value());
    --running_;
  };
  server_->send_signal(SIGSTOP);
  work();
  token.fire();
  serve();
  server_->send_signal(SIGCONT);
}

TEST_F(AwaitTest, BatchesHaveResultsOfTheirOwn) {
  make_file("f", "hello");
  std::vector<myfs_stat_entry> entries = {{"f", 0, {}}, {"absent", 0, {}}};
  auto work = [&]() -> Detached {
    ++running_;
    Result<int> good = co_await async_->stat_many(entries);
    EXPECT_EQ(1, *good);
    --running_;
  };
  work();
  serve();
  EXPECT_EQ(5, entries[0].stat.st_size);
  EXPECT_EQ(-ENOENT, entries[1].result);
  EXPECT_EQ(1, *stat_many(*own_, entries));
}

TEST_F(AwaitTest, CoroutinesMayBeResumedOnTheQueuesThread) {
  auto threaded = Async::create(*own_, Async::Callbacks::kThread);
  ASSERT_TRUE(threaded.ok());
  std::atomic<bool> over{false};
  auto work = [&]() -> Detached {
    EXPECT_TRUE((co_await threaded->mkdir("d")).ok());
    EXPECT_TRUE((co_await threaded->rmdir("d")).ok());
    over.store(true);
  };
  work();
  while (!over.load()) std::this_thread::yield();
}

}  // namespace
}  // namespace myfs::test
