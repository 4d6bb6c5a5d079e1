#include "sdk/base/seqcount.h"

#include <array>
#include <atomic>

#include "gtest/gtest.h"
#include "sdk/base/sync.h"

namespace myfs {
namespace {

TEST(SeqCountTest, a_quiet_copy_is_whole) {
  SeqCount seq;
  uint32_t begin = seq.read_begin();
  EXPECT_FALSE(seq.retry(begin));
}

TEST(SeqCountTest, a_write_in_between_spoils_the_copy) {
  SeqCount seq;
  uint32_t begin = seq.read_begin();
  seq.write_begin();
  EXPECT_TRUE(seq.retry(begin));
  seq.write_end();
  EXPECT_TRUE(seq.retry(begin));
  EXPECT_FALSE(seq.retry(seq.read_begin()));
}

TEST(SeqCountTest, a_copy_begun_inside_a_write_is_never_trusted) {
  SeqCount seq;
  seq.write_begin();
  uint32_t begin = seq.try_read_begin();
  EXPECT_EQ(begin & 1, 1u);
  EXPECT_TRUE(seq.retry(begin));
  seq.write_end();
  EXPECT_TRUE(seq.retry(begin));
  EXPECT_EQ(seq.try_read_begin() & 1, 0u);
}

TEST(SeqCountTest, readers_never_trust_a_torn_copy) {
  using Data = std::array<uint64_t, 16>;
  SeqCount seq;
  Data data{};
  std::atomic<bool> stop{false};
  int torn = 0, whole = 0;
  Event first_copy;
  Thread reader("reader", [&] {
    while (!stop.load(std::memory_order_relaxed)) {
      Data copy;
      uint32_t begin = seq.read_begin();
      racy_copy(&copy, &data, sizeof copy);
      if (seq.retry(begin)) continue;
      ++whole;
      first_copy.set();
      for (uint64_t value : copy) torn += value != copy[0];
    }
  });
  first_copy.wait();
  for (uint64_t n = 1; n < 100'000; ++n) {
    Data next;
    next.fill(n);
    seq.write_begin();
    racy_copy(&data, &next, sizeof next);
    seq.write_end();
  }
  stop = true;
  reader.join();
  EXPECT_EQ(torn, 0);
  EXPECT_GT(whole, 0);
}

}  // namespace
}  // namespace myfs
