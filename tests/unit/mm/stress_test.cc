// Many threads on one file: what lock-free readers may see.

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "sdk/base/random.h"
#include "tests/unit/mm/fake_ops.h"

namespace myfs::mm {
namespace {

constexpr int kRounds = 1500;
constexpr size_t kPages = 8;

// Threads that end when the main loop of the test ends.
struct Crew {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  template <typename Step>
  void hire(Step step) {
    threads.emplace_back([this, step] {
      while (!stop) step();
    });
  }
  ~Crew() {
    stop = true;
    for (std::thread& thread : threads) thread.join();
  }
};

// All bytes of the text are the same.
bool uniform(std::string_view text) {
  return text.find_first_not_of(text.empty() ? 'x' : text[0]) == std::string_view::npos;
}

TEST(MmStress, readers_see_whole_writes) {
  FileFixture file;
  file.set_disk(std::string(kPages * 4096, 'a'));
  ASSERT_TEXT(file.read(0, kPages * 4096), file.ops.disk);
  std::atomic<int> hits{0};
  {
    Crew crew;
    for (int t = 0; t < 2; ++t) {
      crew.hire([&] {
        std::string text = file.hit(0, kPages * 4096);
        if (text == "miss") return;
        ++hits;
        ASSERT_TRUE(uniform(text));
      });
    }
    crew.hire([&] {
      (void)filemap_write_and_wait_range(FileFixture::ctx(), *file.mapping, 0, UINT64_MAX);
    });
    for (int i = 0; i < kRounds; ++i) {
      std::string text(kPages * 4096, static_cast<char>('a' + i % 26));
      ASSERT_EQ(*file.write(0, text), text.size());
      if (i % 8 == 0) std::this_thread::yield();
    }
    while (hits == 0) std::this_thread::yield();
  }
}

TEST(MmStress, readers_see_no_page_of_another_life) {
  // Two files share a tiny arena, each byte of a page names its file and index.
  FileFixture file(slow_flusher(512 << 10));
  constexpr uint64_t kFilePages = 256;
  std::string disk;
  for (uint64_t i = 0; i < kFilePages; ++i) disk.append(4096, static_cast<char>(i));
  file.set_disk(disk);
  std::atomic<int> hits{0};
  {
    Crew crew;
    for (int t = 0; t < 2; ++t) {
      crew.hire([&] {
        uint64_t index = random_below(kFilePages);
        std::string text = file.hit(index * 4096, 4096);
        if (text == "miss") return;
        ++hits;
        ASSERT_TEXT(text, std::string(4096, static_cast<char>(index)));
      });
    }
    FileRaState ra;
    for (int i = 0; i < 4 * kRounds || hits == 0; ++i) {
      uint64_t index = random_below(kFilePages);
      std::string text(4096, '?');
      iovec iov{text.data(), text.size()};
      ASSERT_EQ(*filemap_read(FileFixture::ctx(), *file.mapping, ra, index * 4096, {&iov, 1}),
                4096u);
      ASSERT_TEXT(text, std::string(4096, static_cast<char>(index)));
      if (i % 50 == 0) {
        WriteLock lock(file.mapping->invalidate_lock);
        ASSERT_TRUE(invalidate_pages_range(*file.mapping, index * 4096, (index + 20) * 4096).ok());
      }
    }
  }
}

TEST(MmStress, readers_see_old_or_truncated_never_zeroes_within_the_size) {
  FileFixture file;
  {
    Crew crew;
    for (int t = 0; t < 2; ++t) {
      crew.hire([&] {
        std::string text = file.hit(0, kPages * 4096);
        if (text == "miss") return;
        ASSERT_TRUE(text.empty() || text[0] == 'd');
        ASSERT_TRUE(uniform(text));
      });
    }
    for (int i = 0; i < kRounds; ++i) {
      ASSERT_EQ(*file.write(0, std::string(kPages * 4096, 'd')), kPages * 4096);
      WriteLock lock(file.mapping->invalidate_lock);
      truncate_setsize(*file.mapping, random_below(kPages * 4096));
    }
  }
}

TEST(MmStress, writers_flusher_reclaim_and_commit_lose_nothing) {
  RuntimeOptions options = slow_flusher(1 << 20);
  options.dirty_expire_ns = options.commit_expire_ns = kNsPerMs;
  FileFixture file(options);
  file.ops.unstable = true;
  file.ops.wsize = 8 * 4096;
  constexpr size_t kFile_bytes = 2 << 20;
  std::string model(kFile_bytes, '\0');
  file.mapping->i_size = kFile_bytes;
  std::atomic<int> losses{0};
  {
    Crew crew;
    crew.hire([&] {
      // The server restarts now and then.
      if (random_below(2000) == 0) {
        redirty_unstable(*file.mapping);
        ++losses;
      }
      std::this_thread::yield();
    });
    for (int i = 0; i < kRounds; ++i) {
      size_t at = random_below(kFile_bytes - 20'000), n = 1 + random_below(20'000);
      std::string text(n, static_cast<char>('a' + i % 26));
      ASSERT_EQ(*file.write(at, text), n);
      model.replace(at, n, text);
      if (i % 100 == 0) {
        at = random_below(kFile_bytes - 50'000);
        ASSERT_TEXT(file.read(at, 50'000), model.substr(at, 50'000));
      }
    }
  }
  ASSERT_TRUE(filemap_fsync(FileFixture::ctx(), *file.mapping, nullptr).ok());
  file.ops.disk.resize(kFile_bytes);
  EXPECT_TEXT(file.ops.disk, model);
  EXPECT_TRUE(file.mapping->is_clean());
}

TEST(MmStress, readers_of_one_file_share_pages_in_flight) {
  FileFixture file(slow_flusher(512 << 10));
  file.set_disk(pattern(4 << 20));
  file.ops.read_mode = FakeOps::Mode::kManual;
  std::atomic<int> left{3};
  std::vector<std::thread> readers;
  for (int t = 0; t < 3; ++t) {
    readers.emplace_back([&] {
      FileRaState ra;
      for (uint64_t pos = 0; pos < file.ops.disk.size(); pos += 16384) {
        std::string text(16384, '?');
        iovec iov{text.data(), text.size()};
        ASSERT_EQ(*filemap_read(FileFixture::ctx(), *file.mapping, ra, pos, {&iov, 1}), 16384u);
        ASSERT_TEXT(text, file.ops.disk.substr(pos, 16384));
      }
      --left;
    });
  }
  while (left > 0) {
    if (file.ops.outstanding_reads() > 0) {
      file.ops.finish(file.ops.take_read(), Errno());
    } else {
      std::this_thread::yield();
    }
  }
  for (std::thread& reader : readers) reader.join();
  while (file.ops.outstanding_reads() > 0) file.ops.finish(file.ops.take_read(), Errno());
}

}  // namespace
}  // namespace myfs::mm
