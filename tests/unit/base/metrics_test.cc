#include "sdk/base/metrics.h"

#include <vector>

#include "gtest/gtest.h"
#include "sdk/base/sync.h"

namespace myfs {
namespace {

TEST(CounterTest, sums_over_threads) {
  Counter counter;
  counter.add(-5);
  {
    std::vector<Thread> threads;
    // More than there are cells of one's own.
    for (int i = 0; i < 40; ++i) {
      threads.emplace_back("adder", [&] {
        for (int n = 0; n < 1'000; ++n) counter.add();
      });
    }
  }
  EXPECT_EQ(counter.value(), 39'995);
}

TEST(CounterTest, cells_of_ended_threads_are_taken_over_with_their_counts) {
  Counter counter;
  for (int i = 0; i < 100; ++i) Thread("adder", [&] { counter.add(); }).join();
  EXPECT_EQ(counter.value(), 100);
}

}  // namespace
}  // namespace myfs
