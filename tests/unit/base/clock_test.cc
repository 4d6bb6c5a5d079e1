#include "sdk/base/clock.h"

#include <limits>

#include "gtest/gtest.h"

namespace myfs {
namespace {

TEST(ClockTest, boottime_never_goes_back) {
  int64_t last_ns = boottime_ns();
  for (int i = 0; i < 1'000; ++i) {
    int64_t now_ns = boottime_ns();
    EXPECT_GE(now_ns, last_ns);
    last_ns = now_ns;
  }
}

TEST(ClockTest, realtime_is_of_this_century) {
  constexpr int64_t k2020_ns = 1'577'836'800 * kNsPerSec;
  EXPECT_GT(realtime_ns(), k2020_ns);
}

TEST(ClockTest, deadlines_do_not_wrap) {
  EXPECT_EQ(deadline_after_ns(kNoDeadline), kNoDeadline);
  EXPECT_EQ(deadline_after_ns(kNoDeadline - 1), kNoDeadline);
  int64_t before_ns = boottime_ns();
  int64_t deadline_ns = deadline_after_ns(kNsPerSec);
  EXPECT_GE(deadline_ns, before_ns + kNsPerSec);
  EXPECT_LE(deadline_ns, boottime_ns() + kNsPerSec);
  deadline_ns = deadline_after_ns(-5);
  EXPECT_LE(deadline_ns, boottime_ns());
  EXPECT_GE(deadline_after_ns(std::numeric_limits<int64_t>::min()), before_ns);
}

}  // namespace
}  // namespace myfs
