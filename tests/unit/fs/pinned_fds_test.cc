#include "sdk/fs/pinned_fds.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "sdk/base/rcu.h"
#include "sdk/base/sync.h"
#include "tests/unit/fs/fs_fixture.h"

namespace myfs::fs {
namespace {

using PinnedFdsTest = FsFixture;

TEST_F(PinnedFdsTest, a_number_means_the_file_in_its_scope_alone) {
  const int fd = open("/f", O_CREAT | O_RDWR);
  ASSERT_GE(fd, 0);
  const RefPtr<File> file = task.files.fget(fd);
  PinnedFds pins(task.files);
  const int number = pins.pin(fd);
  EXPECT_GE(number, kDescriptorsMax);
  EXPECT_EQ(AT_FDCWD, pins.pin(AT_FDCWD));
  EXPECT_EQ(nullptr, task.files.fget(number).get());
  EXPECT_EQ(0, close(fd));
  EXPECT_EQ(fd, open("/g", O_CREAT | O_RDWR));
  {
    const PinnedFds::Scope scope(pins);
    EXPECT_EQ(file.get(), task.files.fget(number).get());
    EXPECT_EQ(nullptr, task.files.fget(number + 1).get());
    EXPECT_EQ(fd, FdTable::number(number));
    EXPECT_FALSE(task.files.names(number, *file));
    EXPECT_EQ(nullptr, task.files.fd_close(number).get());
    EXPECT_NE(file.get(), task.files.fget(fd).get());
    Thread("other", [&] { EXPECT_EQ(nullptr, task.files.fget(number).get()); }).join();
  }
  EXPECT_EQ(nullptr, task.files.fget(number).get());
  EXPECT_EQ(0, close(fd));
}

TEST_F(PinnedFdsTest, the_last_reference_is_kept_for_who_may_wait) {
  const int fd = open("/f", O_CREAT | O_RDWR);
  PinnedFds one(task.files), two(task.files);
  (void)one.pin(fd);
  (void)two.pin(fd);
  (void)two.pin(-1);
  EXPECT_TRUE(one.drop_unless_last());
  EXPECT_EQ(0, close(fd));
  EXPECT_FALSE(two.drop_unless_last());
  EXPECT_FALSE(two.drop_unless_last());
  two.drop();
  EXPECT_TRUE(two.drop_unless_last());
}

// Both would see that the other has it too, and neither be told that his was the last.
TEST_F(PinnedFdsTest, of_those_that_let_go_at_a_time_one_is_the_last) {
  constexpr int kRounds = 500;
  std::vector<std::unique_ptr<PinnedFds>> pins;
  for (int i = 0; i < 2 * kRounds; ++i) {
    const int fd = open("/f", O_CREAT | O_RDWR);
    pins.push_back(std::make_unique<PinnedFds>(task.files));
    pins.push_back(std::make_unique<PinnedFds>(task.files));
    (void)pins[pins.size() - 2]->pin(fd);
    (void)pins.back()->pin(fd);
    EXPECT_EQ(0, close(fd));
  }
  std::vector<std::atomic<int>> kept(pins.size() / 2);
  std::array<Thread, 2> threads;
  Event go;
  for (size_t t = 0; t < threads.size(); ++t) {
    threads[t] = Thread("drops", [&, t] {
      go.wait();
      for (size_t i = 0; i < kept.size(); ++i) kept[i] += !pins[2 * i + t]->drop_unless_last();
    });
  }
  go.set();
  for (Thread& thread : threads) thread.join();
  for (const std::atomic<int>& last : kept) ASSERT_EQ(1, last.load());
}

}  // namespace
}  // namespace myfs::fs
