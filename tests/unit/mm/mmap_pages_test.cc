#include "sdk/mm/mmap_pages.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>

namespace myfs::mm {
namespace {

constexpr size_t kSize_bytes = 16 * kPageSize_bytes;

// A file of zeros, all of which is mapped for storing.
class MmapPagesTest : public testing::Test {
 protected:
  void SetUp() override {
    const MmapRange all{0, kSize_bytes};
    ASSERT_TRUE(pages_.open().ok());
    ASSERT_TRUE(pages_.charge(ctx_, all).ok());
    ASSERT_TRUE(pages_.fill(0, as_file()).ok());
    ASSERT_TRUE(pages_.resize(kSize_bytes, false).ok());
    ASSERT_TRUE(pages_.track(ctx_, std::span(&all, 1)).ok());
    void* at = ::mmap(nullptr, kSize_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, pages_.fd(true), 0);
    ASSERT_NE(at, MAP_FAILED);
    memory_ = static_cast<char*>(at);
  }
  void TearDown() override {
    ::munmap(memory_, kSize_bytes);
    pages_.release({0, kSize_bytes});
    pages_.close();
    EXPECT_EQ(budget_.used(), 0u);
  }
  std::span<const std::byte> as_file() const { return std::as_bytes(std::span(file_)); }
  // This client writes, and the mapping follows.
  void write(size_t offset, const std::string& text) {
    file_.replace(offset, text.size(), text);
    ASSERT_TRUE(pages_.merge(0, as_file(), {offset, offset + text.size()}).ok());
  }
  // Another one has.
  void others_write(size_t offset, const std::string& text) {
    file_.replace(offset, text.size(), text);
    ASSERT_TRUE(pages_.merge(0, as_file(), {}).ok());
  }
  std::string shown(size_t offset, size_t size) const { return {memory_ + offset, size}; }

  CallContext ctx_;
  Budget budget_{1 << 20};
  MmapPages pages_{budget_};
  std::string file_ = std::string(kSize_bytes, '0');
  char* memory_ = nullptr;
};

TEST_F(MmapPagesTest, what_is_written_beside_a_store_is_shown) {
  memory_[7] = 'A';
  memory_[8] = 'A';
  write(2, "BBBBB");
  write(9, "BBBBBBBB");
  EXPECT_EQ(shown(0, 18), "00BBBBBAABBBBBBBB0");
  auto changes = pages_.changes({0, kSize_bytes});
  ASSERT_TRUE(changes.ok());
  ASSERT_EQ(changes->size(), 1u);
  EXPECT_EQ((*changes)[0].offset, 0u);
  EXPECT_EQ(std::memcmp((*changes)[0].bytes.data(), "00BBBBBAABBBBBBB", 16), 0);
}

TEST_F(MmapPagesTest, a_word_is_of_one_client) {
  memory_[7] = 'A';
  others_write(0, "TTTTTTTTTTTTTTTT");
  EXPECT_EQ(shown(0, 16), "0000000ATTTTTTTT");
}

TEST_F(MmapPagesTest, a_store_meanwhile_is_not_undone) {
  std::atomic<bool> done{false};
  bool lost = false;
  std::atomic_ref<char> byte(memory_[7]);
  std::thread user([&] {
    while (!done.load()) {
      byte.store('A');
      for (int i = 0; i < 100; ++i) lost |= byte.load() != 'A';
      byte.store('0');
    }
  });
  for (int i = 0; i < 5000 && !HasFailure(); ++i) {
    const std::string text(1, static_cast<char>('a' + i % 26));
    write(0, text);
    EXPECT_EQ(shown(0, 1), text);
  }
  done.store(true);
  user.join();
  EXPECT_FALSE(lost);
  EXPECT_EQ(shown(7, 1), "0");
}

}  // namespace
}  // namespace myfs::mm
