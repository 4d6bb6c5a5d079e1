// The memory of the process's caches: statistics that add up, a budget that holds, and who is told
// of pressure.

#include <unistd.h>

#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/posix/api_test.h"

namespace myfs::test {
namespace {

constexpr uint64_t kMiB = 1 << 20;

myfs_memory memory() {
  myfs_memory out{};
  out.size = sizeof out;
  EXPECT_EQ(0, myfs_get_memory(&out));
  return out;
}

uint64_t sum_of(const myfs_memory& m) {
  return m.pages_clean_bytes + m.pages_dirty_bytes + m.pages_in_flight_bytes +
         m.pages_unstable_bytes + m.dentries_bytes + m.inodes_bytes + m.transfers_bytes +
         m.arena_bytes + m.mapped_bytes;
}

// Resident, with what lies in memory files.
uint64_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  uint64_t pages = 0, resident = 0;
  in >> pages >> resident;
  return resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

// Names and the nodes of trees are not refused either, and wait for the next page to give way.
constexpr uint64_t kSmall_bytes = 256 << 10;

// Messages are not refused: what they take beyond the budget is given back by the caches a moment
// later.
void wait_until_within(uint64_t bytes) {
  while (memory().used_bytes > bytes + kSmall_bytes) std::this_thread::yield();
}

class Memory : public ApiTest {
 protected:
  void TearDown() override {
    EXPECT_EQ(0, myfs_set_memory_budget(512 * kMiB));
    ApiTest::TearDown();
  }
  void make_big(const char* path, uint64_t bytes) {
    const std::string piece(kMiB, 'x');
    int fd = open(path);
    for (uint64_t at = 0; at < bytes; at += kMiB) pwrite(fd, piece, static_cast<off_t>(at));
    close(fd);
  }
  void read_big(const char* path, uint64_t bytes) {
    std::vector<char> buffer(kMiB);
    int fd = open(path, O_RDONLY);
    for (uint64_t at = 0; at < bytes; at += kMiB) {
      ASSERT_EQ(static_cast<ssize_t>(kMiB),
                myfs_pread(task_, fd, buffer.data(), kMiB, static_cast<off_t>(at)));
    }
    close(fd);
  }
};

TEST_F(Memory, get_memory_EINVAL) {
  myfs_memory out{};
  EXPECT_EQ(-EINVAL, myfs_get_memory(&out));
  EXPECT_EQ(-EINVAL, myfs_get_memory(nullptr));
}

TEST_F(Memory, set_memory_budget_EINVAL) {
  EXPECT_EQ(-EINVAL, myfs_set_memory_budget(16 * kMiB - 1));
  EXPECT_EQ(-EINVAL, myfs_set_memory_budget(UINT64_MAX));
}

TEST_F(Memory, on_pressure_EINVAL) {
  myfs_pressure* listener = nullptr;
  EXPECT_EQ(-EINVAL, myfs_on_pressure(nullptr, nullptr, &listener));
  EXPECT_EQ(-EINVAL, myfs_on_pressure([](void*, int) {}, nullptr, nullptr));
  EXPECT_EQ(0, myfs_off_pressure(nullptr));
}

// Measured in a process that holds pages, names and inodes, and mapped memory.
TEST_F(Memory, TheClassesAreWhatIsUsed) {
  constexpr int kFiles = 4000;
  ASSERT_EQ(0, myfs_set_memory_budget(512 * kMiB));
  const uint64_t rss_before = resident_bytes();
  const uint64_t used_before = memory().used_bytes;
  make_big("big", 64 * kMiB);
  read_big("big", 64 * kMiB);
  const auto name = [](int i) { return "a-file-with-a-name-" + std::to_string(i); };
  for (int i = 0; i < kFiles; ++i) close(open(name(i).c_str(), O_WRONLY | O_CREAT));
  for (int i = 0; i < kFiles; ++i) stat(name(i).c_str());
  const myfs_memory after = memory();
  [[maybe_unused]] const uint64_t rss = resident_bytes() - rss_before;
  [[maybe_unused]] const uint64_t told = after.used_bytes - used_before;
  EXPECT_EQ(after.used_bytes, sum_of(after));
  EXPECT_GE(after.pages_clean_bytes, 64 * kMiB);
  EXPECT_GE(after.inodes_bytes, kFiles * uint64_t{512});
  EXPECT_GE(after.dentries_bytes, kFiles * uint64_t{128});
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // their own use is larger
  EXPECT_GT(told, rss * 85 / 100) << rss;
  EXPECT_LT(told, rss * 115 / 100) << rss;
#endif
  // A mapping's memory files are not mapped whole into the process, so they are not resident in it;
  // what is told of them is what they hold: the pages, and what these were.
  int fd = open("big", O_RDWR);
  void* mapped = nullptr;
  ASSERT_EQ(0, myfs_mmap(task_, nullptr, 8 * kMiB, 3, 1, fd, 0, &mapped)) << last_message();
  EXPECT_EQ(16 * kMiB, memory().mapped_bytes);
  EXPECT_EQ(memory().used_bytes, sum_of(memory()));
  EXPECT_EQ(0, myfs_munmap(task_, mapped, 8 * kMiB));
  EXPECT_EQ(0u, memory().mapped_bytes);
  close(fd);
}

TEST_F(Memory, ANewBudgetHoldsAtOnce) {
  ASSERT_EQ(0, myfs_set_memory_budget(128 * kMiB));
  make_big("big", 64 * kMiB);
  read_big("big", 64 * kMiB);
  EXPECT_GT(memory().used_bytes, 48 * kMiB);
  ASSERT_EQ(0, myfs_set_memory_budget(24 * kMiB));
  EXPECT_EQ(24 * kMiB, memory().budget_bytes);
  wait_until_within(24 * kMiB);
  read_big("big", 64 * kMiB);
  wait_until_within(24 * kMiB);
}

// Names and inodes are of the same budget: they give way to pages, and pages to them.
TEST_F(Memory, NamesCountAndGiveWay) {
  ASSERT_EQ(0, myfs_set_memory_budget(64 * kMiB));
  for (int i = 0; i < 500; ++i) make_dir(("d" + std::to_string(i)).c_str());
  EXPECT_GT(memory().inodes_bytes, 0u);
  make_big("big", 96 * kMiB);
  read_big("big", 96 * kMiB);
  wait_until_within(64 * kMiB);
}

TEST_F(Memory, ListenersComeAndGo) {
  myfs_pressure *one = nullptr, *two = nullptr;
  ASSERT_EQ(0, myfs_on_pressure([](void*, int) {}, nullptr, &one));
  ASSERT_EQ(0, myfs_on_pressure([](void*, int) {}, nullptr, &two));
  EXPECT_EQ(0, myfs_off_pressure(one));
  EXPECT_EQ(0, myfs_off_pressure(two));
}

}  // namespace
}  // namespace myfs::test
