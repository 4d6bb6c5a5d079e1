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
    for (int i = 0; i < 12; ++i) {
      threads.emplace_back("adder", [&] {
        for (int n = 0; n < 1'000; ++n) counter.add();
      });
    }
  }
  EXPECT_EQ(counter.value(), 11'995);
}

}  // namespace
}  // namespace myfs
